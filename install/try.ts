// npm run try [-- EXECUTABLE]: demonstrates the program on any Linux, without systemd, without a bus and without
// installing anything. It starts the daemon in a private directory, registers three processes in namespaces of their
// own as machines, lists, shows and ends them, and removes everything that it has made, also after ^C. Exits with 0 if
// all of that worked.
import {
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Subprocess } from "bun";
import { build } from "./build.ts";

const TOP = join(import.meta.dir, "..");
/** The executable given as argument; without one, it is built. */
const GIVEN = process.argv[2];
const EXECUTABLE = GIVEN === undefined ? join(TOP, "dist/machined") : resolve(GIVEN);
const SLICE = "/sys/fs/cgroup/machine.slice";
const WAIT_MS = 15_000;
const SIGNALS = [
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const;

/** A machine of the demonstration. */
interface Guest {
  readonly name: string;
  readonly class: "container" | "vm";
  /** An address for its network, from the range for documentation (RFC 5737). */
  readonly address: string;
}

const GUESTS: readonly Guest[] = [
  { name: "web", class: "container", address: "192.0.2.10" },
  { name: "database", class: "container", address: "192.0.2.20" },
  { name: "desktop", class: "vm", address: "192.0.2.30" },
];

/**
 * A shell script like the init of a small container. It exits on SIGTERM, which ends all processes of its PID
 * namespace.
 */
const INIT = `# NAME ADDRESS
hostname "$1"
if command -v ip >/dev/null; then ip link set lo up; ip address add "$2/24" dev lo; fi
trap "exit 0" TERM
while :; do sleep 60 & wait $!; done
`;

/** One run of the demonstration. */
class Trial {
  readonly #runtime = mkdtempSync(join(tmpdir(), "machined-try-"));
  readonly #hadSlice = existsSync(SLICE);
  readonly #children: Subprocess[] = [];
  /** Whether clean() has been called: nothing is started any more. */
  isOver = false;

  async run(): Promise<void> {
    writeFileSync(this.#init, INIT);
    say(`Starting the daemon with ${this.#runtime} as runtime directory, without systemd and without a bus`);
    this.#start([EXECUTABLE, "systemd-machined"]);
    await until(() => existsSync(this.#socket), "the daemon's socket");
    for (const guest of GUESTS) await this.#register(guest);

    const listed = this.#machinectl("list");
    for (const guest of GUESTS) demand(listed.includes(guest.name), `'${guest.name}' is listed`);
    demand(this.#machinectl("status", "web").includes("192.0.2.10"), "the address of 'web' is known");

    this.#machinectl("terminate", "web");
    this.#machinectl("kill", "--signal=SIGKILL", "database");
    this.#machinectl("terminate", "desktop");
    await until(() => this.#run("list", "--no-legend").trim() === "", "the machines to end");
    demand(this.#machinectl("list").includes("No machines."), "no machine is left");
    demand(this.#stateFiles().length === 0, "no state file is left");
    say("Everything worked. Removing what was made for this");
  }

  /** Ends all processes and removes all files. */
  async clean(): Promise<void> {
    this.isOver = true;
    for (const child of this.#children.reverse()) child.kill("SIGKILL");
    await Promise.all(this.#children.map((child) => child.exited));
    rmSync(this.#runtime, { recursive: true, force: true });
    if (!this.#hadSlice) removeCgroups(SLICE);
  }

  /** The output of the daemon and the machines. */
  get messages(): string {
    return existsSync(this.#log) ? readFileSync(this.#log, "utf8") : "";
  }

  get #log(): string {
    return join(this.#runtime, "messages");
  }

  get #init(): string {
    return join(this.#runtime, "init");
  }

  get #socket(): string {
    return join(this.#runtime, "machine/io.systemd.Machine");
  }

  get #env(): Record<string, string> {
    const { PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG = "C.UTF-8" } = process.env;
    return { PATH, LANG, TERM: "dumb", MACHINED_RUNTIME_DIRECTORY: this.#runtime };
  }

  #stateFiles(): string[] {
    const directory = join(this.#runtime, "machines");
    return existsSync(directory) ? readdirSync(directory) : [];
  }

  #start(command: string[]): Subprocess {
    const log = openSync(this.#log, "a", 0o600);
    const child = Bun.spawn(command, { env: this.#env, stdin: "ignore", stdout: log, stderr: log });
    closeSync(log);
    this.#children.push(child);
    return child;
  }

  async #register({ name, class: kind, address }: Guest): Promise<void> {
    if (this.isOver) return new Promise(() => {});
    const namespaces = ["--mount", "--uts", "--ipc", "--net", "--pid", "--fork", "--kill-child", "--mount-proc"];
    const guest = this.#start(["unshare", ...namespaces, "sh", this.#init, name, address]);
    // The machine's first process is the child of unshare. It has a child, `sleep`, when it has reached its loop.
    const leader = await until(() => {
      if (guest.exitCode !== null) throw new Error(`unshare ended with ${guest.exitCode}`);
      const [child] = childrenOf(guest.pid);
      return child !== undefined && childrenOf(child).length > 0 ? child : false;
    }, `'${name}' to start`);
    say(`Registering process ${leader} as ${kind} '${name}'`);
    await call(this.#socket, "io.systemd.Machine.Register", {
      name,
      class: kind,
      service: "npm-run-try",
      leader,
      rootDirectory: "/",
      allocateUnit: true,
    });
  }

  /** Runs machinectl and returns its output. */
  #run(...words: string[]): string {
    const done = Bun.spawnSync([EXECUTABLE, "machinectl", "--no-pager", ...words], { env: this.#env, stdin: "ignore" });
    if (done.exitCode !== 0) throw new Error(`machinectl ${words.join(" ")}: ${done.stderr}`);
    return done.stdout.toString();
  }

  #machinectl(...words: string[]): string {
    console.log(`\n$ machinectl ${words.join(" ")}`);
    const output = this.#run(...words);
    process.stdout.write(output);
    return output;
  }
}

function say(text: string): void {
  console.log(`\n# ${text}`);
}

function demand(holds: boolean, what: string): void {
  if (!holds) throw new Error(`This check has failed: ${what}`);
}

async function until<Value>(look: () => Value | false, what: string): Promise<Value> {
  const deadline = Date.now() + WAIT_MS;
  for (;;) {
    const value = look();
    if (value !== false) return value;
    if (Date.now() > deadline) throw new Error(`Waited ${WAIT_MS / 1000} s without success for ${what}`);
    await Bun.sleep(20);
  }
}

function childrenOf(pid: number): number[] {
  const path = `/proc/${pid}/task/${pid}/children`;
  return existsSync(path) ? readFileSync(path, "utf8").split(" ").filter(Boolean).map(Number) : [];
}

function removeCgroups(path: string): void {
  if (!existsSync(path)) return;
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.isDirectory()) removeCgroups(join(path, entry.name));
  }
  try {
    rmdirSync(path);
  } catch {
    // Another process has entered it.
  }
}

/** Makes a Varlink call: request and reply are JSON, terminated by a zero byte. Rejects for an error reply. */
function call(socket: string, method: string, parameters: object): Promise<void> {
  return new Promise((resolve, reject) => {
    let reply = "";
    const answered = () => {
      const { error } = JSON.parse(reply.slice(0, reply.indexOf("\0")));
      if (error === undefined) resolve();
      else reject(new Error(`${method}: ${reply.slice(0, reply.indexOf("\0"))}`));
    };
    const end = () => reject(new Error(`${method}: the daemon closed the connection`));
    Bun.connect({
      unix: socket,
      socket: {
        open: (connection) => void connection.write(`${JSON.stringify({ method, parameters })}\0`),
        data: (connection, chunk) => {
          reply += chunk.toString();
          if (!reply.includes("\0")) return;
          answered();
          connection.end();
        },
        close: end,
      },
    }).catch(reject);
  });
}

/** Whether the executable exists and is newer than its sources. */
function isBuilt(): boolean {
  if (!existsSync(EXECUTABLE)) return false;
  const builtAt = statSync(EXECUTABLE).mtimeMs;
  return ["src", "install", "package.json"].every((name) => newest(join(TOP, name)) <= builtAt);
}

function newest(path: string): number {
  const status = statSync(path);
  if (!status.isDirectory()) return status.mtimeMs;
  return Math.max(0, ...readdirSync(path).map((name) => newest(join(path, name))));
}

/**
 * Runs this script again in a user namespace, in which the caller has the capabilities of root. A network namespace is
 * made, too: to read a machine's addresses, the daemon enters the machine's network namespace, and it could not return
 * to one that belongs to another user namespace.
 */
async function runInUserNamespace(): Promise<number> {
  const namespaces = ["--user", "--map-root-user", "--net", "--mount"];
  const self = [process.execPath, import.meta.path, ...process.argv.slice(2)];
  const child = Bun.spawn(["unshare", ...namespaces, ...self], { stdio: ["ignore", "inherit", "inherit"] });
  let isInterrupted = false;
  for (const [signal] of SIGNALS) {
    process.on(signal, () => {
      isInterrupted = true;
      child.kill(signal);
    });
  }
  const code = await child.exited;
  // The script prints its own failures; this is for a failure of unshare.
  if (code !== 0 && !isInterrupted) console.error("If this host does not allow user namespaces: sudo npm run try");
  return code;
}

async function main(): Promise<number> {
  if (Bun.which("unshare") === null) {
    console.error("unshare is missing: install util-linux");
    return 1;
  }
  if (GIVEN === undefined && !isBuilt()) {
    say("Building dist/machined");
    build();
  }
  if (process.geteuid?.() !== 0) return runInUserNamespace();
  const trial = new Trial();
  for (const [signal, code] of SIGNALS) {
    process.on(signal, async () => {
      await trial.clean();
      process.exit(code);
    });
  }
  try {
    await trial.run();
    return 0;
  } catch (error) {
    if (trial.isOver) return await new Promise(() => {});
    console.error(`\n${trial.messages}npm run try: ${error instanceof Error ? error.message : error}`);
    return 1;
  } finally {
    await trial.clean();
  }
}

process.exit(await main());
