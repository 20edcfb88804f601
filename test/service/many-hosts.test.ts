// `-H a,b` and `-H @FILE`: one output for several hosts; a simulated ssh connects each to a daemon without a bus.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, needsRoot, TestDaemon } from "../lib/daemon.ts";
import { waitFor } from "../lib/wait-for.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const MANAGER = { destination: "org.freedesktop.machine1", path: "/org/freedesktop/machine1" };

let daemon: TestDaemon;
let directory: string;

function program(name: string, script: string): void {
  writeFileSync(join(directory, name), `#!/bin/sh\n${script}\n`);
  chmodSync(join(directory, name), 0o755);
}

/** The output of a client, and its exit status. */
interface Run {
  readonly stdout: string;
  readonly stderr: string;
  readonly status: number;
}

function start(client: string, args: readonly string[]) {
  const { MACHINED_RUNTIME_DIRECTORY: _, ...env } = process.env;
  return Bun.spawn([process.execPath, MAIN, client, ...args], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...env, SYSTEMD_SSH: join(directory, "ssh") },
  });
}

async function run(client: string, ...args: string[]): Promise<Run> {
  const child = start(client, args);
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { stdout, stderr, status: await child.exited };
}

const machinectl = (...args: string[]) => run("machinectl", ...args);

/** The files that runs of ssh have written into a directory. */
const marks = (name: string) => (existsSync(join(directory, name)) ? readdirSync(join(directory, name)) : []);

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), "many-hosts-"));
  daemon = await TestDaemon.start();
  mkdirSync(join(directory, "bin"));
  // The programs `machined` and `machinectl` of the other host.
  program("bin/machined", `exec ${process.execPath} ${MAIN} "$@"`);
  program("bin/machinectl", `exec ${process.execPath} ${MAIN} machinectl "$@"`);
  // Hosts differ by name: `hung-NAME-N` writes a mark into the directory `hung-NAME`, and `together` waits until all
  // four of them run.
  program(
    "ssh",
    `case $1 in -G) for host; do :; done
      case $host in patient) echo connecttimeout 77 ;; *) echo connecttimeout none ;; esac; exit ;; esac
    echo "$*" >>${directory}/calls
    while [ "$1" != -- ]; do shift; done
    host=$2; shift 2
    case $host in
    dead | patient) echo "ssh: connect to host dead port 22: Connection refused" >&2; exit 255 ;;
    noisy) echo 'Welcome, all!' ;;
    endless*) exec yes ;;
    reader) cat >${directory}/input; exit 0 ;;
    halfway) (sleep infinity) & exit 255 ;;
    hung-*) mkdir -p ${directory}/\${host%-*}; echo $$ >${directory}/\${host%-*}/$$; exec sleep infinity ;;
    together*) mkdir -p ${directory}/together; : >${directory}/together/$host
      until [ "$(ls ${directory}/together | wc -l)" = 4 ]; do sleep .1; done ;;
    liar) echo '{"columns":["machine"],"noun":"machines","descending":[],"rows":[{"cells":[7]}]}'; exit 0 ;;
    alone*) mkdir ${directory}/alone || exit 99; trap 'rmdir ${directory}/alone' EXIT
      export MACHINED_RUNTIME_DIRECTORY=${daemon.runtime} PATH="${directory}/bin:$PATH"
      sh -c "$*"; exit ;;
    esac
    export MACHINED_RUNTIME_DIRECTORY=${daemon.runtime} PATH="${directory}/bin:$PATH"
    exec sh -c "case \\$1 in *'machined bridge'*) exec machined bridge ;; esac; $*" sh "$*"`,
  );
  if (!isRoot) return;
  const near = await daemon.bus();
  for (const name of ["web", "db"]) {
    const body = [name, Buffer.alloc(0), "test", "container", await daemon.leader(), ""];
    const call = { ...MANAGER, interface: "org.freedesktop.machine1.Manager", member: "RegisterMachine" };
    await near.call({ ...call, signature: "sayssus", body });
  }
});
afterAll(async () => {
  await daemon[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true });
});

const DEAD = /^dead: ssh: connect to host dead port 22: Connection refused; [^\n]*\n$/;

describe.skipIf(!isRoot)(`machines of several hosts${needsRoot}`, () => {
  test("lists have a column with the host; a host that fails has one error line, and the others are listed", async () => {
    const { stdout, stderr, status } = await machinectl("-H", "a,dead,b", "list", "--columns=machine,class");
    expect(stdout).toBe(
      "HOST MACHINE CLASS\na    db      container\na    web     container\nb    db      container\nb    web     container\n\n4 machines listed.\n",
    );
    expect(stderr).toMatch(DEAD);
    expect(status).toBe(1);
    expect(readFileSync(join(directory, "calls"), "utf8")).toMatch(
      /^-xT -o BatchMode=yes -o ServerAliveInterval=15 -o ServerAliveCountMax=4 -o ConnectTimeout=20 -- a sh -c '/m,
    );
  });

  test("rows of all hosts are sorted together, filtered, and printed as JSON with a row for each failure", async () => {
    const sorted = await machinectl("-H", "a,b", "list", "--columns=machine", "--sort=-machine", "--no-legend");
    expect(sorted.stdout).toBe("a web\nb web\na db\nb db\n");
    expect(sorted.status).toBe(0);
    const { stdout } = await machinectl(
      ...["-H", "a,dead", "list", "--json=short", "--columns=machine", "--filter=machine=w*"],
    );
    expect(JSON.parse(stdout)).toEqual([
      { host: "a", machine: "web" },
      { host: "dead", error: expect.stringMatching(/^ssh: connect to host dead/) },
    ]);
  });

  test("a template prints a line for each row, with the host where it has it; the rows of all hosts are sorted", async () => {
    const listed = (...args: string[]) => machinectl("-H", "a,dead,b", "list", ...args);
    const { stdout, stderr, status } = await listed("--sort=-name", "--template={{host}}/{{name}} {{ class }}");
    expect(stdout).toBe("a/web container\nb/web container\na/db container\nb/db container\n");
    expect(stderr).toMatch(DEAD);
    expect(status).toBe(1);
    expect((await listed("--filter=name=db", "--template={{host}}")).stdout).toBe("a\nb\n");
    expect((await listed("--template={{nmae}}")).stderr).toMatch(/^Unknown column 'nmae' of --template=/);
    expect((await listed("--template={{name}}", "--json=short")).stderr).toBe(
      "--template= cannot be used with JSON output: it prints text\n",
    );
  });

  test("the pages of status follow the name of their host, and have it as a field in JSON", async () => {
    const { stdout } = await machinectl("-H", "a,b", "show", "web", "-p", "Name");
    expect(stdout).toBe("Host=a\nName=web\n\nHost=b\nName=web\n");
    const json = await machinectl("-H", "a,b", "show", "a/web", "b/db", "-p", "Name", "--json=short");
    expect(json.stdout).toBe('{"host":"a","Name":"web"}\n{"host":"b","Name":"db"}\n');
  });

  test("status -o json prints the pages of one host, in which only the entries of the journal are JSON", async () => {
    const { stdout } = await machinectl("-H", "a,b", "status", "web", "-o", "json");
    expect(stdout).toMatch(/^a:\nweb\n\t[^{]*\n\nb:\nweb\n\t/);
  });

  test("what exec --detach --json prints has the host as a field, and the exit status of a host that fails", async () => {
    const command = ["exec", "--detach", "--json=short", "web", "true"];
    const { stdout, status } = await machinectl("-H", "a,dead", ...command);
    const [started, failed, end] = stdout.split("\n");
    expect(JSON.parse(started ?? "")).toMatchObject({ host: "a", machine: "web", pid: expect.any(Number) });
    expect(JSON.parse(failed ?? "")).toEqual({ host: "dead", error: expect.stringContaining("Connection refused") });
    expect([end, status]).toEqual(["", 255]);
  });

  test("exec --parallel= prints whole objects of what it has detached, without the machine before each line", async () => {
    const options = ["--parallel=2", "--detach", "--json=pretty"];
    const { stdout } = await machinectl("-H", "a", "exec", ...options, "web,db", "true");
    const started = JSON.parse(`[${stdout.replaceAll("}\n{", "},{")}]`) as { readonly machine: string }[];
    expect(started.map(({ machine }) => machine).sort()).toEqual(["db", "web"]);
  });

  test("HOST/NAME acts on that host alone", async () => {
    const { stdout, stderr, status } = await machinectl("-H", "a,dead,b", "terminate", "b/no-such-machine");
    expect([stdout, stderr, status]).toEqual([
      "",
      "b: Could not terminate machine: No machine 'no-such-machine' known\n",
      1,
    ]);
    const elsewhere = await machinectl("-H", "a,b", "poweroff", "c/web");
    expect(elsewhere.stderr).toBe("'c/web' names a host that is not among those of -H\n");
  });

  test("the output of commands has the host before each line, and their exit status counts", async () => {
    const { stdout, status } = await machinectl(
      "-H",
      "a,long",
      "exec",
      "web",
      "sh",
      "-c",
      "echo one; echo two; exit 7",
    );
    expect(stdout.split("\n").sort()).toEqual(["", "a    | one", "a    | two", "long | one", "long | two"]);
    expect(status).toBe(7);
  });

  test("each host measures the resources of its own machines", async () => {
    const { stdout } = await machinectl(
      "-H",
      "a,liar,b",
      "stats",
      "--delay=10ms",
      "--json=short",
      "--columns=machine",
      "db",
    );
    expect(JSON.parse(stdout)).toEqual([
      { host: "a", machine: "db" },
      { host: "b", machine: "db" },
      { host: "liar", error: "Its answer is no list" },
    ]);
  });

  test("events are printed as they happen, with their host, until Ctrl-C", async () => {
    const child = start("machinectl", ["-H", "a,dead,b", "events", "--json=short"]);
    const byTemplate = start("machinectl", [
      "-H",
      "a,b",
      "events",
      "--filter=name=ev",
      "--template={{host}} {{event}}",
    ]);
    const near = await daemon.bus();
    const call = { ...MANAGER, interface: "org.freedesktop.machine1.Manager" };
    const leader = await daemon.leader();
    const seen = new Set<string>();
    const failures: unknown[] = [];
    const read = (async () => {
      for await (const chunk of child.stdout)
        for (const line of Buffer.from(chunk).toString().split("\n").filter(Boolean)) {
          const event = JSON.parse(line);
          if (event.error !== undefined) failures.push(event);
          else if (event.machine === "ev") seen.add(event.host);
        }
    })();
    const lines = new Set<string>();
    const readLines = (async () => {
      for await (const chunk of byTemplate.stdout)
        for (const line of Buffer.from(chunk).toString().split("\n").filter(Boolean)) lines.add(line);
    })();
    // Nothing reports that all clients listen: the machine is started again until they do.
    await waitFor(async () => {
      const body = ["ev", Buffer.alloc(0), "test", "container", leader, ""];
      await near.call({ ...call, member: "RegisterMachine", signature: "sayssus", body });
      await near.call({ ...call, member: "UnregisterMachine", signature: "s", body: ["ev"] });
      expect([...seen].sort()).toEqual(["a", "b"]);
      expect([...lines].sort()).toEqual(["a ended", "a started", "b ended", "b started"]);
      expect(failures).toHaveLength(1);
    }, "events of both hosts, and the failure of the third");
    child.kill("SIGINT");
    byTemplate.kill("SIGINT");
    await Promise.all([read, readLines]);
    const errors = (await child.stderr.text()).split("\n").filter((line) => line.startsWith("dead: "));
    expect(errors).toEqual([expect.stringContaining("Connection refused")]);
    expect(failures).toEqual([{ host: "dead", error: expect.stringContaining("Connection refused") }]);
    expect(await child.exited).toBe(1);
  });

  test("a file names hosts, with comments", async () => {
    const file = join(directory, "hosts");
    writeFileSync(file, "# all of them\n\na\nb # the second\na\n");
    const { stdout } = await machinectl(
      "-H",
      `@${file}`,
      "list",
      "--no-legend",
      "--columns=machine",
      "--filter=machine=db",
    );
    expect(stdout).toBe("a db\nb db\n");
    expect((await machinectl("-H", `@${file}x`, "list")).stderr).toBe(
      `Cannot read hosts from '${file}x': No such file or directory\n`,
    );
  });
});

test("errors about a file of hosts have the reason; it may be a pipe, and no device without an end", async () => {
  const list = (file: string) => machinectl("-H", `@${file}`, "list");
  expect(await list(directory)).toMatchObject({
    stderr: `Cannot read hosts from '${directory}': Is a directory\n`,
    status: 1,
  });
  expect((await list("/dev/zero")).stderr).toBe("Cannot read hosts from '/dev/zero': it has more than 4 MiB\n");
  const pipe = join(directory, "pipe");
  Bun.spawnSync(["mkfifo", pipe]);
  const listing = list(pipe);
  writeFileSync(pipe, "dead\r\n");
  expect((await listing).stderr).toMatch(/^dead: ssh: connect to host dead/);
});

test("an ssh that outlives the client of its host does not keep the others waiting", async () => {
  const { stderr, status } = await machinectl("-H", "halfway,dead", "list");
  expect(stderr).toMatch(/^halfway: .*\ndead: /);
  expect(status).toBe(1);
});

test("a host that accepts connections and is silent is given up, after the time of the user's configuration if it has one", async () => {
  const calls = async (...args: string[]) => {
    rmSync(join(directory, "calls"), { force: true });
    await machinectl("-H", "patient,dead", ...args);
    return readFileSync(join(directory, "calls"), "utf8").trim().split("\n").sort();
  };
  for (const words of [
    ["list"],
    ["exec", "web", "true"],
    ["stats"],
    ["start", "web"],
    ["events"],
    ["wait", "--for=running", "web"],
  ]) {
    const [own = "", usual = ""] = (await calls(...words)).sort(
      (a, b) => Number(/ dead /.test(a)) - Number(/ dead /.test(b)),
    );
    expect(usual).toContain(" -o ConnectTimeout=20 ");
    expect(own).toMatch(/ -- patient /);
    expect(own).not.toContain("ConnectTimeout");
  }
});

test("a verb that waits prints the failure of a host while it waits for the others, and once", async () => {
  const child = start("machinectl", ["-H", "hung-wait-1,dead", "wait", "--for=running", "web"]);
  const decoder = new TextDecoder();
  let stderr = "";
  for await (const chunk of child.stderr) {
    stderr += decoder.decode(chunk, { stream: true });
    // The other host never answers.
    if (stderr.includes("\n")) child.kill("SIGINT");
  }
  expect(stderr).toMatch(DEAD);
  expect(await child.exited).toBe(130);
});

test("the JSON of a verb whose text has the host before each line is no text with that", async () => {
  const { stdout, stderr, status } = await machinectl("-H", "dead,halfway", "clean", "--json=short");
  const objects = stdout
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line));
  expect(objects.map(({ host }) => host)).toEqual(["dead", "halfway"]);
  expect(stderr).toMatch(/^dead: .*\nhalfway: .*\n$/);
  expect(status).toBe(1);
});

test("commands end when nobody reads their output any more", async () => {
  const { MACHINED_RUNTIME_DIRECTORY: _, ...env } = process.env;
  const command = [process.execPath, MAIN, "machinectl", "-H", "endless1,endless2", "exec", "web", "yes"];
  // The shell waits for both ends of the pipe.
  const child = Bun.spawn(["sh", "-c", '{ "$@"; echo $? >&2; } | head -1', "sh", ...command], {
    stdio: ["ignore", "pipe", "pipe"],
    env: { ...env, SYSTEMD_SSH: join(directory, "ssh") },
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  expect(stdout).toMatch(/^endless[12] \| y\n$/);
  expect(stderr).toBe("141\n");
});

test("text that the login shell of a host prints is named as the reason", async () => {
  for (const hosts of ["noisy", "noisy,dead"]) {
    const { stderr } = await machinectl("-H", hosts, "list");
    expect(stderr).toContain("reset by peer (the login shell of the host printed 'Welcome, all!' before");
  }
});

test("verbs that run on the other host read no standard input: it may be a list of hosts", async () => {
  const { MACHINED_RUNTIME_DIRECTORY: _, ...env } = process.env;
  const child = Bun.spawn([process.execPath, MAIN, "machinectl", "-H", "reader", "stats"], {
    stdio: [Buffer.from("more\nhosts\n"), "ignore", "ignore"],
    env: { ...env, SYSTEMD_SSH: join(directory, "ssh") },
  });
  expect(await child.exited).toBe(0);
  expect(readFileSync(join(directory, "input"), "utf8")).toBe("");
});

test("hosts are asked at the same time, or with --parallel=1 one after the other", async () => {
  const hosts = (name: string) => [1, 2, 3, 4].map((number) => `${name}${number}`).join(",");
  // Each waits until the others run.
  expect((await machinectl("-H", hosts("together"), "show", "-P", "Version")).status).toBe(0);
  // Each fails if another one runs.
  expect((await machinectl("-H", hosts("alone"), "--parallel=1", "show", "-P", "Version")).stderr).toBe("");
});

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  test(`${signal} ends the connections to all hosts, also an ssh that still connects`, async () => {
    // The marks have a name of their own: a test before this one may have left some.
    const name = `hung-${signal}`;
    const child = start("machinectl", ["-H", `${name}-1,${name}-2,dead`, "list"]);
    await waitFor(() => expect(marks(name)).toHaveLength(2), "two that hang");
    child.kill(signal);
    expect(await child.exited).toBe(130);
    await waitFor(() => {
      for (const pid of marks(name)) expect(existsSync(`/proc/${pid}`)).toBe(false);
    }, "their end");
  });
}

test("verbs and options for a single host are refused with several", async () => {
  const says = async (...args: string[]) => (await machinectl("-H", "a,b", ...args)).stderr;
  expect(await says("top")).toBe(
    "'machinectl top' does not work on several hosts: name one after -H, or run it there, over ssh(1)\n",
  );
  expect(await says("shell", "web")).toBe(
    "'machinectl shell' does not work on several hosts: name one after -H, or run it there, over ssh(1)\n",
  );
  expect(await says("copy-to", "web", "/x")).toBe(
    "'machinectl copy-to' does not work on several hosts: name one after -H, or run it there, over ssh(1)\n",
  );
  expect(await says("stats", "--iterations=2")).toBe("--iterations= is for one host\n");
  expect(await says("exec", "-t", "web", "ls")).toBe("Commands on several hosts have no terminal: leave out -t\n");
  expect((await run("machinectl", "-H", "a,b@@c", "list")).stderr).toBe(
    "'b@@c' names no host: [USER@]HOST[:PORT], or @FILE with one in each line\n",
  );
});

test("C94 shell and login with one host run that host's own client", async () => {
  program("bin/machinectl", 'echo "$@"');
  const { stdout } = await machinectl("-H", "a", "-E", "A=b c", "shell", "root@web", "/bin/ls", "-l", "it's");
  expect(stdout).toBe("--setenv=A=b c shell root@web /bin/ls -l it's\n");
  // The value of a variable that is only named is that of this process.
  const named = await machinectl("-H", "a", "shell", "-E", "SYSTEMD_SSH", "web");
  expect(named.stdout).toBe(`--setenv=SYSTEMD_SSH=${join(directory, "ssh")} shell web\n`);
  expect((await machinectl("-H", "a", "login", "web")).stdout).toBe("login web\n");
  expect((await machinectl("-H", "a/web", "login")).stderr).toBe("machinectl needs a host after -H, not 'a/web'\n");
});
