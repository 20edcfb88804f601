// Which calls login, shell, copy-to, copy-from and bind send to the machine manager, and what they refuse themselves.
import { describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runMachinectl } from "../../../src/cli/program/machinectl.ts";
import type { Bus } from "../../../src/cli/session/ports.ts";
import type { BusCall } from "../../../src/ipc/bus/connection.ts";
import { FakeBusError } from "./fake-managers.ts";
import { FakeProcess, type Surroundings, WORLDS, type World } from "./fake-world.ts";

const REFUSAL = new FakeBusError("org.freedesktop.DBus.Error.InvalidArgs", "The manager's own words");

/** A manager that records every call, and refuses it or not. */
class Listener extends FakeProcess {
  readonly asked: BusCall[] = [];
  readonly rules: unknown[] = [];
  readonly #error: Error | null;

  constructor(around: Surroundings, error: Error | null) {
    super(WORLDS["two"] as World, { sockets: ["system"], ...around });
    this.#error = error;
  }

  override connectBus = async (): Promise<Bus> => ({
    call: async (call) => {
      this.asked.push(call);
      if (this.#error !== null) throw this.#error;
      return [];
    },
    subscribe: async (rule) => {
      this.rules.push(rule);
      return async () => {};
    },
    onClose: () => {},
    close: () => {},
  });
}

async function run(args: readonly string[], around: Surroundings = {}, error: Error | null = REFUSAL) {
  const process = new Listener(around, error);
  const status = await runMachinectl(args, process);
  const [call] = process.asked;
  return { status, stderr: process.stderr, call, body: call?.body, rules: process.rules, asked: process.asked };
}

const DUMB = ["TERM=dumb"];

describe("shell", () => {
  const cases: [statements: string, args: string[], body: unknown[]][] = [
    ["without words it opens root's shell on this host", [], [".host", "", "", [], DUMB]],
    ["C91 an empty name means this host", [""], [".host", "", "", [], DUMB]],
    ["C91 a user without a machine means a user of this host", ["joe@"], [".host", "joe", "", [], DUMB]],
    ["C91 the first @ ends the user's name", ["root@alpha@x"], ["alpha@x", "root", "", [], DUMB]],
    ["C92 USER@ overrides --uid", ["--uid=nobody", "root@alpha"], ["alpha", "root", "", [], DUMB]],
    ["C92 --uid is used without USER@", ["--uid=65534", "alpha"], ["alpha", "65534", "", [], DUMB]],
    ["a program without arguments is sent without argv", ["alpha", "/bin/x"], ["alpha", "", "/bin/x", [], DUMB]],
    [
      "with arguments, argv[0] is the program's path",
      ["alpha", "/bin/x", "a b", ""],
      ["alpha", "", "/bin/x", ["/bin/x", "a b", ""], DUMB],
    ],
    [
      "C90 options after the program's path are passed to the program",
      ["-q", "alpha", "/bin/x", "-q", "--help"],
      ["alpha", "", "/bin/x", ["/bin/x", "-q", "--help"], DUMB],
    ],
    ["-- between name and program is removed", ["alpha", "--", "/bin/x"], ["alpha", "", "/bin/x", [], DUMB]],
    [
      "options between name and program are those of machinectl, as in 262",
      ["joe@alpha", "-q", "--setenv=FOO=bar", "/bin/x", "--setenv=A=b"],
      ["alpha", "joe", "/bin/x", ["/bin/x", "--setenv=A=b"], [...DUMB, "FOO=bar"]],
    ],
    [
      "-- before the name is removed",
      ["--", "alpha", "/bin/x", "--help"],
      ["alpha", "", "/bin/x", ["/bin/x", "--help"], DUMB],
    ],
  ];
  for (const [title, words, body] of cases) {
    test(title, async () => {
      const { call, body: asked } = await run(["shell", ...words]);
      expect([call?.member, call?.signature]).toEqual(["OpenMachineShell", "sssasas"]);
      expect(asked).toEqual(body);
    });
  }

  test("C89 an error of the manager is printed, and the exit status is 1", async () => {
    const { status, stderr } = await run(["shell", "alpha", "relative"]);
    expect([status, stderr]).toEqual([1, "Failed to get shell PTY: The manager's own words\n"]);
  });

  test("C91 a machine specification without a user before the @ is refused", async () => {
    const { status, stderr, asked } = await run(["shell", "@x"]);
    expect([status, stderr]).toEqual([1, "Failed to parse machine specification: Invalid argument\n"]);
    expect(asked).toEqual([]);
  });

  test("the client subscribes to the end of the machine before it opens a shell, and not at once for a program", async () => {
    expect((await run(["shell", "alpha", "/bin/true"])).rules).toEqual([]);
    const { rules } = await run(["shell", "alpha"]);
    expect(rules).toEqual([
      {
        sender: "org.freedesktop.machine1",
        path: "/org/freedesktop/machine1",
        member: "MachineRemoved",
        arg0: "alpha",
      },
    ]);
  });

  const environments: [title: string, args: string[], around: Surroundings, environment: string[]][] = [
    ["C105 C106 without a terminal the program gets TERM=dumb", [], { env: { TERM: "xterm", NO_COLOR: "1" } }, DUMB],
    [
      "C106 on a dumb terminal the program gets TERM=dumb",
      [],
      { env: { TERM: "dumb", COLORTERM: "x" }, columns: 80 },
      DUMB,
    ],
    [
      "C106 on a terminal the program gets TERM, COLORTERM and NO_COLOR",
      [],
      { env: { TERM: "xterm", COLORTERM: "truecolor", NO_COLOR: "" }, columns: 80 },
      ["TERM=xterm", "COLORTERM=truecolor", "NO_COLOR="],
    ],
    [
      "variables of --setenv replace the default ones",
      ["-E", "TERM=foo", "-E", "A=b"],
      { env: { TERM: "xterm" }, columns: 80 },
      ["TERM=foo", "A=b"],
    ],
    ["the last assignment of a variable counts", ["-E", "A=1", "--setenv=A=2"], {}, ["TERM=dumb", "A=2"]],
    [
      "--setenv=NAME without a value passes the client's own value",
      ["-E", "B", "-E", "C"],
      { env: { B: "own" } },
      ["TERM=dumb", "B=own", "C="],
    ],
  ];
  for (const [title, words, around, environment] of environments) {
    test(title, async () => {
      expect((await run([...words, "shell", "alpha"], around)).body?.[4]).toEqual(environment);
    });
  }
});

describe("login", () => {
  test("calls OpenMachineLogin for the machine, or for this host", async () => {
    expect((await run(["login", "alpha"])).call).toMatchObject({ member: "OpenMachineLogin", body: ["alpha"] });
    expect((await run(["login"])).body).toEqual([".host"]);
    const { status, stderr } = await run(["login", "alpha"]);
    expect([status, stderr]).toEqual([1, "Failed to get login PTY: The manager's own words\n"]);
  });

  test("C93 refuses users and variables", async () => {
    const text = "--setenv= and --uid= are not supported for 'login'. Use 'shell' instead.\n";
    for (const option of ["-EA=b", "--uid=joe"]) {
      const { status, stderr, asked } = await run([option, "login", "alpha"]);
      expect([status, stderr, asked.length]).toEqual([1, text, 0]);
    }
  });
});

describe("files", () => {
  const cases: [statements: string, args: string, member: string, body: unknown[]][] = [
    ["copy-to", "copy-to m /a /b", "CopyToMachine", ["m", "/a", "/b"]],
    ["copy-to without a second path uses the first", "copy-to m /a", "CopyToMachine", ["m", "/a", "/a"]],
    ["copy-from", "copy-from m /a /b", "CopyFromMachine", ["m", "/a", "/b"]],
    ["copy-from without a second path uses the first", "copy-from m /a", "CopyFromMachine", ["m", "/a", "/a"]],
    ["C109 --force replaces", "--force copy-to m /a /b", "CopyToMachineWithFlags", ["m", "/a", "/b", 1n]],
    ["C109 --force replaces", "copy-from m /a /b --force", "CopyFromMachineWithFlags", ["m", "/a", "/b", 1n]],
    ["C111 bind without a destination", "bind m /a", "BindMountMachine", ["m", "/a", "", false, false]],
    ["bind", "bind m /a /b --read-only --mkdir", "BindMountMachine", ["m", "/a", "/b", true, true]],
    [
      "paths of the machine are not checked by the client",
      "copy-from m a/../b /c",
      "CopyFromMachine",
      ["m", "a/../b", "/c"],
    ],
  ];
  for (const [title, line, member, body] of cases) {
    test(`${title}: ${line}`, async () => {
      const { status, call } = await run(line.split(" "), {}, null);
      expect(status).toBe(0);
      expect([call?.member, call?.body]).toEqual([member, body]);
    });
  }

  test("C109 when the target exists, the error names both paths and the machine, and the exit status is 1", async () => {
    const there = new FakeBusError("org.freedesktop.DBus.Error.FileExists", "File exists");
    expect(await run(["copy-to", "m", "/a"], {}, there)).toMatchObject({
      status: 1,
      stderr: "Failed to copy '/a' to '/a' in machine 'm': File exists\n",
    });
    expect((await run(["bind", "m", "/a"], {}, there)).stderr).toBe(
      "Failed to bind mount '/a' in machine 'm': File exists\n",
    );
  });

  test("the call for a copy has no time limit", async () => {
    expect((await run(["copy-to", "m", "/a"], {}, null)).call?.timeoutMs).toBeGreaterThan(1e9);
  });

  test("C110 relative paths of this host are made absolute, those of the machine are sent as given", async () => {
    const directory = mkdtempSync(join(tmpdir(), "machinectl-copy-"));
    mkdirSync(join(directory, "real/sub"), { recursive: true });
    symlinkSync("real/sub", join(directory, "link"));
    const before = process.cwd();
    process.chdir(directory);
    try {
      const from = async (path: string) => (await run(["copy-to", "m", path, "/x"], {}, null)).body?.[1];
      expect(await from("file")).toBe(join(directory, "file"));
      expect(await from("./file")).toBe(join(directory, "file"));
      expect(await from("link/../file")).toBe(join(directory, "real/file"));
      expect(await from("..")).toBe(tmpdir());
      expect(await from("real//sub/")).toBe(join(directory, "real/sub"));
      expect(await from("nowhere/../file")).toBe(join(directory, "file"));
      expect((await run(["copy-to", "m", "file"], {}, null)).body?.[2]).toBe("file");
      expect((await run(["copy-from", "m", "/x", "file"], {}, null)).body?.[2]).toBe(join(directory, "file"));
    } finally {
      process.chdir(before);
      rmSync(directory, { recursive: true });
    }
  });
});
