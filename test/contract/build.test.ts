// The built executable: one file that contains several programs, and that reads no files of the directory it is started
// in.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { build } from "../../install/build.ts";
import { GUARD_MS, WAIT_MS } from "../lib/wait-for.ts";

const MIB = 1 << 20;
const BUILD_TIMEOUT_MS = GUARD_MS;

let scratch = "";
let executable = "";

beforeAll(() => {
  scratch = mkdtempSync(join(tmpdir(), "machined-build-test-"));
  executable = build(join(scratch, "machined"));
}, BUILD_TIMEOUT_MS);

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

interface Outcome {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

function run(command: string[], options: { cwd?: string; env?: Record<string, string>; argv0?: string } = {}): Outcome {
  const child = Bun.spawnSync(command, {
    cwd: options.cwd ?? scratch,
    env: { PATH: "/usr/bin:/bin", ...options.env },
    ...(options.argv0 === undefined ? {} : { argv0: options.argv0 }),
    stdin: "ignore",
    timeout: WAIT_MS,
  });
  return { code: child.exitCode, stdout: child.stdout.toString(), stderr: child.stderr.toString() };
}

function called(name: string): string {
  const link = join(scratch, name);
  if (!existsSync(link)) symlinkSync(executable, link);
  return link;
}

test("the name of a link to the executable selects the program", () => {
  expect(run([called("machinectl"), "--help"]).stdout).toContain("machinectl [OPTION…] COMMAND");
  expect(run([called("systemd-machined"), "--help"]).stdout).toContain("systemd-machined");
});

test("argv[0] and the first argument select the program, too", () => {
  expect(run([executable, "--help"], { argv0: "machinectl" }).stdout).toContain("machinectl [OPTION…] COMMAND");
  expect(run([executable, "machinectl", "--help"]).stdout).toContain("machinectl [OPTION…] COMMAND");
  expect(run([executable, "install", "--help"]).stdout).toStartWith("machined install [OPTION…]");
  expect(run([executable, "uninstall", "--help"]).stdout).toStartWith("machined uninstall [OPTION…]");
});

test("under the executable's own name, options are those of the daemon", () => {
  expect(run([executable, "--version"]).stdout).toBe(run([called("systemd-machined"), "--version"]).stdout);
});

/** Runs a program on a terminal of 50 columns; returns the whole output. */
async function onNarrowTerminal(command: string[]): Promise<{ code: number; lines: string[] }> {
  let text = "";
  const child = Bun.spawn(command, {
    env: { PATH: "/usr/bin:/bin", TERM: "dumb", SYSTEMD_PAGER: "" },
    terminal: {
      cols: 50,
      rows: 24,
      data: (_terminal, bytes) => {
        text += bytes.toString();
      },
    },
  });
  const code = await child.exited;
  child.terminal?.close();
  return { code, lines: Bun.stripANSI(text).split("\r\n") };
}

const WITH_HELP = [
  ...["machinectl", "machinectl list", "importctl", "importctl pull-tar", "install", "uninstall", "systemd-machined"],
  ...["systemd-importd", "machined-exec", "nss-mymachines", "bridge", "fleet", "doctor"],
  ...["systemd-pull", "systemd-import", "systemd-import-fs", "systemd-export"],
];

test.each(WITH_HELP)("--help of %s fits a terminal of 50 columns", async (words) => {
  const command = [executable, ...words.split(" "), "--help"];
  const { code, lines } = await onNarrowTerminal(command);
  expect([code, lines.length > 3, lines.filter((line) => Bun.stringWidth(line) > 50)]).toEqual([0, true, []]);
  expect(lines.join(" ").replace(/\s+/g, " ").trim()).toBe(run(command).stdout.replace(/\s+/g, " ").trim());
});

test.each([
  ["systemd-pull tar", "Too few arguments.", "Usage: systemd-pull tar URL [NAME]"],
  ["systemd-import raw", "Too few arguments.", "Usage: systemd-import raw FILE [NAME]"],
  ["systemd-import-fs run", "Too few arguments.", "Usage: systemd-import-fs run DIRECTORY [NAME]"],
  ["importctl pull-oci", "Too few arguments.", "Usage: importctl pull-oci REF [NAME]"],
  ["doctor one two", "Too many arguments.", "Usage: machinectl doctor [NAME]"],
])("the error of %s has the usage on a terminal, and only the error itself in a pipe", async (words, wrong, usage) => {
  const command = [executable, ...words.split(" ")];
  expect(run(command)).toMatchObject({ code: 1, stderr: `${wrong}\n` });
  const { code, lines } = await onNarrowTerminal(command);
  expect([code, ...lines.filter((line) => line !== "")]).toEqual([1, wrong, usage]);
});

test.each([
  ["bridge x", "there are none, see 'machined bridge --help'"],
  ["fleet setup x", "there is only 'setup', see 'machined fleet --help'"],
  ["install x", "see 'machined install --help'"],
])("the error of %s has the unknown argument, and how to get help", (words, help) => {
  const { code, stderr } = run([executable, ...words.split(" ")]);
  expect(code).toBe(1);
  expect(stderr).toStartWith(`machined ${words.split(" ")[0]}: Unknown argument 'x'`);
  expect(stderr).toContain(help);
});

test("without arguments and for 'help' the executable prints its usage in 50 columns", () => {
  const { code, stdout, stderr } = run([executable]);
  expect([code, stderr]).toEqual([0, ""]);
  expect(stdout).toStartWith("machined ");
  for (const word of ["install", "uninstall", "machinectl", "importctl", "systemd-machined", "systemd-importd"]) {
    expect(stdout).toContain(`\n  ${word} `);
  }
  expect(Math.max(...stdout.split("\n").map(({ length }) => length))).toBeLessThanOrEqual(50);
  for (const args of [["help"], ["--help"], ["-h"]]) expect(run([executable, ...args]).stdout).toBe(stdout);
  expect(run([executable, "help", "install"]).stdout).toBe(run([executable, "install", "--help"]).stdout);
});

test("--version of every program prints the emulated version of systemd and machined's own", () => {
  const [first = "", second = ""] = run([executable, "--version"]).stdout.split("\n");
  expect(first).toStartWith("systemd ");
  for (const program of ["machinectl", "importctl", "nss-mymachines", "machined-exec", "systemd-pull", "install"]) {
    const { code, stdout } = run([executable, program, "--version"]);
    const lines = stdout.split("\n");
    expect([code, lines[0]]).toEqual([0, first]);
    expect(lines[1]).toStartWith(second);
  }
});

test("a link named 'install' installs nothing", () => {
  const { code, stderr } = run([called("install"), "--help"]);
  expect(code).toBe(1);
  expect(stderr).toContain("usage: machined PROGRAM");
});

test("an unknown program is an error with a suggestion and the list of programs", () => {
  for (const outcome of [run([executable, "nosuch"]), run([called("nosuch")]), run([executable, "help", "nosuch"])]) {
    expect(outcome.code).toBe(1);
    expect(outcome.stdout).toBe("");
    expect(outcome.stderr).toContain("There is no program 'nosuch'");
    expect(outcome.stderr).toContain("usage: machined PROGRAM");
    expect(outcome.stderr).toContain("systemd-machined, systemd-importd");
  }
  expect(run([executable, "instal"]).stderr).toContain("did you mean 'install'?");
});

test("a bunfig.toml and a .env in the current directory are not read", async () => {
  const directory = join(scratch, "hostile");
  mkdirSync(join(directory, "runtime/machine"), { recursive: true });
  const marker = join(directory, "ran");
  writeFileSync(join(directory, "bunfig.toml"), 'preload = ["./evil.ts"]\n');
  writeFileSync(join(directory, "evil.ts"), `require("node:fs").writeFileSync(${JSON.stringify(marker)}, "");\n`);
  const runtime = join(directory, "runtime");
  writeFileSync(join(directory, ".env"), `MACHINED_RUNTIME_DIRECTORY=${runtime}\n`);

  // A program that believes the variable connects to this socket, which closes each connection.
  let calls = 0;
  const socket = {
    open(peer: { end(): void }) {
      calls++;
      peer.end();
    },
    data() {},
  };
  using _listener = Bun.listen({ unix: join(runtime, "machine/io.systemd.Machine"), socket });
  using _private = Bun.listen({ unix: join(runtime, "machine/private"), socket });
  const list = async (env: Record<string, string>) => {
    const child = Bun.spawn([executable, "machinectl", "list"], {
      cwd: directory,
      env: { PATH: "/usr/bin:/bin", ...env },
      stdio: ["ignore", "ignore", "ignore"],
      timeout: WAIT_MS,
    });
    await child.exited;
  };
  await list({});
  expect(calls).toBe(0);
  expect(existsSync(marker)).toBe(false);
  await list({ MACHINED_RUNTIME_DIRECTORY: runtime });
  expect(calls).toBeGreaterThan(0);
});

test("the executable contains the files that it installs", () => {
  const root = join(scratch, "root");
  mkdirSync(join(root, "usr/lib/systemd"), { recursive: true });
  writeFileSync(join(root, "usr/lib/systemd/systemd"), "");
  mkdirSync(join(root, "usr/share/dbus-1"), { recursive: true });
  const { code, stdout } = run([executable, "install", `--root=${root}`]);
  expect(code).toBe(0);
  expect(stdout).toContain("/etc/systemd/system/systemd-machined.service");
  expect(statSync(join(root, "usr/local/lib/machined/machined")).size).toBe(statSync(executable).size);
  expect(run([join(root, "usr/local/bin/machinectl"), "--help"]).stdout).toContain("machinectl [OPTION…] COMMAND");
  expect(run([executable, "uninstall", `--root=${root}`]).code).toBe(0);
  expect(existsSync(join(root, "usr/local"))).toBe(false);
});

test("wrong arguments of install are reported", () => {
  expect(run([executable, "install", "--rooot=/x"]).stderr).toBe(
    "machined install: unrecognized option '--rooot', did you mean '--root'? See 'machined install --help'\n",
  );
  expect(run([executable, "install", "--root="]).stderr).toContain("Option --root= needs a directory");
  expect(run([executable, "install", "--root=/nosuch"]).stderr).toBe(
    "machined install: The directory '/nosuch' of --root= does not exist\n",
  );
});

test("the executable is at most a little larger than Bun", () => {
  const size = statSync(executable).size;
  expect(size).toBeGreaterThan(60 * MIB);
  expect(size).toBeLessThan(130 * MIB);
});

test("a compiler without a static C library builds everything but exec", () => {
  const tools = join(scratch, "tools");
  mkdirSync(tools);
  const script = `#!/bin/sh\ncase " $* " in *" -static "*) echo "cannot find -lc" >&2; exit 1;; esac\n`;
  writeFileSync(join(tools, "cc"), script, { mode: 0o755 });
  const source = `
    const { buildEnterProgram } = await import(${JSON.stringify(join(import.meta.dir, "../../install/build.ts"))});
    console.log(buildEnterProgram(${JSON.stringify(join(scratch, "enter"))}));`;
  const { stdout } = run([process.execPath, "-e", source], { env: { PATH: `${tools}:/usr/bin:/bin` } });
  expect(stdout).toBe("false\n");
});
