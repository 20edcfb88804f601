// Terminals, logins, shells and root directories of machines: a daemon, with machines whose service manager is
// simulated.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { createConnection, createServer } from "node:net";
import { join } from "node:path";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import type { VarlinkClient } from "../../src/ipc/varlink/client.ts";
import { VarlinkStream } from "../../src/ipc/varlink/stream.ts";
import { type Fd, statFd, statPath } from "../../src/kernel/file/fd.ts";
import { SocketStream } from "../../src/kernel/socket/stream.ts";
import { connectUnix } from "../../src/kernel/socket/unix.ts";
import { O_NONBLOCK } from "../../src/kernel/syscall/constants.ts";
import { errorOf, isRoot, manager, needsRoot, object, register, TestDaemon } from "../lib/daemon.ts";
import { expectNothingLeft, LEAK_ROUNDS, openDescriptors } from "../lib/descriptors.ts";
import { hasBusDaemon, TestBus } from "../lib/private-bus.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { deadFileSystem, PlayedGuest, TestMachine } from "./open-support.ts";

const canRun = isRoot && hasBusDaemon;
const OBJECT = "/org/freedesktop/machine1/machine";

async function failure(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    const { id, parameters } = error as { id: string; parameters: Record<string, unknown> };
    return `${id.replace("org.varlink.service.", "")} ${JSON.stringify(parameters)}`;
  }
  throw new Error("the call succeeded");
}

describe.skipIf(!canRun)(`terminals and shells in machines${needsRoot}`, () => {
  let daemon: TestDaemon;
  let bus: BusClient;
  let varlink: VarlinkClient;
  let guestBus: TestBus;
  let guest: PlayedGuest;
  const ends: AsyncDisposable[] = [];

  beforeAll(async () => {
    guestBus = await TestBus.start();
    guest = await PlayedGuest.start(guestBus);
    daemon = await TestDaemon.start();
    bus = await daemon.bus();
    varlink = await daemon.varlink();
    const full = await TestMachine.start(["--mount"], guestBus);
    const bare = await TestMachine.start(["--mount", "--user", "--map-root-user"], null);
    ends.push(full, bare);
    await register(bus, "full", full.pid);
    await register(bus, "bare", bare.pid);
    await register(bus, "vm", await daemon.leader(), { class: "vm" });
  }, GUARD_MS);
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    for (const end of ends) await end[Symbol.asyncDispose]();
    await guestBus[Symbol.asyncDispose]();
  });

  const shell = (name: string, ...rest: [string, string, string[], string[]]) =>
    manager(bus, "OpenMachineShell", "sssasas", name, ...rest);

  test("M106 pseudo terminals are opened in containers and on the host, not in virtual machines", async () => {
    for (const call of [
      () => manager(bus, "OpenMachinePTY", "s", "full"),
      () => manager(bus, "OpenMachinePTY", "s", "bare"),
      () => manager(bus, "OpenMachinePTY", "s", ".host"),
      () => object(bus, `${OBJECT}/full`, "org.freedesktop.machine1.Machine", "OpenPTY"),
    ]) {
      const [pty, path] = (await call()) as [Fd, string];
      expect(path).toMatch(/^\/dev\/pts\/\d+$/);
      expect(statFd(pty)).toMatchObject({ kind: "character", rdev: { major: 5, minor: 2 } });
      pty.close();
    }
    expect(await errorOf(manager(bus, "OpenMachinePTY", "s", "vm"))).toBe("NotSupported: Operation not supported");
    expect(await errorOf(manager(bus, "OpenMachinePTY", "s", "none"))).toContain("NoSuchMachine");
  });

  test("the terminals of a machine with a user namespace belong to its root", async () => {
    const [pty, path] = (await manager(bus, "OpenMachinePTY", "s", "bare")) as [Fd, string];
    const { pid } = ends[1] as TestMachine;
    expect(statPath(`/proc/${pid}/root${path}`).uid).toBe(0);
    pty.close();
  });

  test("M108 a login starts the getty of the new terminal, and resets a failed one of the same name", async () => {
    guest.calls.length = 0;
    const [pty, path] = (await manager(bus, "OpenMachineLogin", "s", "full")) as [Fd, string];
    const unit = `container-getty@${path.slice(9)}.service`;
    expect(guest.calls).toEqual([`ResetFailedUnit ${unit}`, `StartUnit ${unit} replace`]);
    pty.close();
  });

  test("M109 a login in a container without a bus is refused", async () => {
    const text = "FileNotFound: There is no system bus in container bare.";
    expect(await errorOf(shell("bare", "", "", [], []))).toBe(text);
    expect(await errorOf(manager(bus, "OpenMachineLogin", "s", "bare"))).toBe(text);
    expect(await failure(varlink.call("io.systemd.Machine.Open", { name: "bare", mode: "login" }))).toBe(
      "io.systemd.Machine.NoIPC {}",
    );
  });

  test("M110 M111 M115 programs that cannot be run are refused", async () => {
    expect(await errorOf(shell("full", "", "true", [], []))).toBe("InvalidArgs: Specified path 'true' is not absolute");
    const wrong = "InvalidArgs: Invalid environment assignments";
    for (const environment of [["FOO"], ["=x"], ["1A=x"], ["A=1", "A=2"], ["A B=c"]]) {
      expect(await errorOf(shell("full", "", "/bin/true", [], environment))).toBe(wrong);
    }
    const many = Array.from({ length: 16_385 }, (_, index) => `V${index}=x`);
    expect(await errorOf(shell("full", "", "/bin/true", [], many))).toBe(
      "LimitsExceeded: Too many environment assignments in a single query.",
    );
    for (const user of [" a", "a ", "a:b", "a/b", "4294967295", "65535", "-1", "-", ".", "..", "a\nb"]) {
      expect(await errorOf(shell("full", user, "/bin/true", [], []))).toBe(`InvalidArgs: Invalid user name '${user}'`);
    }
    expect(await errorOf(shell("vm", "", "", [], []))).toBe("NotSupported: Operation not supported");
  });

  test("M113 the unit of a shell has systemd's properties", async () => {
    guest.calls.length = 0;
    const [pty, path] = (await shell("full", "joe", "/bin/echo", ["echo", "a b", 'q"$HOME\n'], ["A=1"])) as [
      Fd,
      string,
    ];
    const number = path.slice(9);
    const { unit, mode, properties, terminal } = guest.started.at(-1) as (typeof guest.started)[number];
    expect([unit, mode, terminal]).toEqual([`container-shell@${number}.service`, "fail", "character"]);
    const plain = [...properties].map(([name, { signature, value }]) => [
      name,
      signature,
      signature === "h" ? "terminal" : value,
    ]);
    expect(plain).toEqual([
      ["Description", "s", "Shell for User joe"],
      ["StandardInputFileDescriptor", "h", "terminal"],
      ["StandardOutputFileDescriptor", "h", "terminal"],
      ["StandardErrorFileDescriptor", "h", "terminal"],
      ["SendSIGHUP", "b", true],
      ["IgnoreSIGPIPE", "b", false],
      ["KillMode", "s", "mixed"],
      ["TTYPath", "s", path],
      ["TTYReset", "b", true],
      ["UtmpIdentifier", "s", `pts/${number}`],
      ["UtmpMode", "s", "user"],
      ["PAMName", "s", "login"],
      ["WorkingDirectory", "s", "-~"],
      ["User", "s", "joe"],
      ["Environment", "as", ["A=1"]],
      ["ExecStart", "a(sasb)", [["/bin/echo", ["echo", "a b", 'q"$$HOME\n'], true]]],
    ]);
    expect(guest.calls).toEqual([`StopUnit container-getty@${number}.service replace`]);
    pty.close();
  });

  const programOf = (properties: (typeof guest.started)[number]["properties"]) => {
    const [program] = (properties.get("ExecStart")?.value ?? []) as [string, string[], boolean][];
    return program;
  };
  const lastProgram = () => programOf(guest.started.at(-1)?.properties ?? new Map());

  test("M112 M114 without a path a shell runs the user's login shell and ignores arguments; without arguments argv[0] is the path", async () => {
    const opened = [
      await shell("full", "", "", ["ignored"], []),
      await shell("full", "", "/bin/true", [], []),
      await shell("full", "1000", "/bin/true", ["other-name", "x"], []),
    ] as [Fd, string][];
    const [login, bare, named] = guest.started.slice(-3).map(({ properties }) => ({
      user: properties.get("User")?.value,
      program: programOf(properties),
    }));
    expect(login?.user).toBe("root");
    expect(login?.program?.[0]).toBe("/bin/sh");
    expect(login?.program?.[1].slice(0, 2)).toEqual(["sh", "-c"]);
    expect(login?.program?.[1].slice(3)).toEqual(["sh", "root"]);
    expect(bare?.program?.[1]).toEqual(["/bin/true"]);
    expect(named).toMatchObject({ user: "1000", program: ["/bin/true", ["other-name", "x"], true] });
    for (const [pty] of opened) pty.close();
  });

  test("the login shell is read from the user database, else from /etc/passwd, else it is /bin/sh", async () => {
    const [pty] = (await shell("full", "root", "", [], [])) as [Fd, string];
    pty.close();
    const [, argv = []] = lastProgram() ?? [];
    // As the service manager passes it on: it replaces `$$` by `$`. Instead of starting the shell, the script prints
    // its name.
    const script = (argv[2] ?? "").replaceAll("$$", "$").replace('exec "$shell" -l', 'echo "$shell"');
    const run = (user: string, path: string) => {
      const child = Bun.spawnSync(["/bin/sh", "-c", script, "sh", user], { env: { PATH: path } });
      return child.stdout.toString().trim();
    };
    const known = readFileSync("/etc/passwd", "utf8")
      .split("\n")
      .find((line) => line.startsWith("root:"));
    const expected = known?.split(":")[6] ?? "";
    expect(run("root", process.env["PATH"] ?? "")).toBe(expected);
    expect(run("root", "/nonexistent")).toBe(expected);
    expect(run("nobody-of-that-name", process.env["PATH"] ?? "")).toBe("/bin/sh");
  });

  test("when a service manager does not know a property, the call is repeated without it", async () => {
    for (const name of ["UtmpMode", "IgnoreSIGPIPE", "StandardErrorFileDescriptor"]) guest.unknown.add(name);
    const [pty] = (await shell("full", "", "/bin/true", [], [])) as [Fd, string];
    const { properties } = guest.started.at(-1) as (typeof guest.started)[number];
    expect(properties.has("UtmpMode") || properties.has("IgnoreSIGPIPE")).toBe(false);
    expect(properties.get("StandardError")?.value).toBe("tty");
    expect(properties.has("StandardOutputFileDescriptor")).toBe(true);
    pty.close();
    guest.unknown.add("ExecStart");
    expect(await errorOf(shell("full", "", "/bin/true", [], []))).toBe(
      "PropertyReadOnly: Cannot set property ExecStart, or unknown property.",
    );
    guest.unknown.clear();
  });

  test("M132 the root directory of a container and of the host can be opened, that of a VM cannot", async () => {
    const { pid } = ends[0] as TestMachine;
    const [root] = (await manager(bus, "OpenMachineRootDirectory", "s", "full")) as [Fd];
    expect(statFd(root)).toMatchObject({ kind: "directory", ino: statPath(`/proc/${pid}/root/`).ino });
    expect(readdirSync(`/proc/self/fd/${root.number}/run`)).toContain("dbus");
    root.close();
    const [own] = (await object(bus, `${OBJECT}/_2ehost`, "org.freedesktop.machine1.Machine", "OpenRootDirectory")) as [
      Fd,
    ];
    expect(readlinkSync(`/proc/self/fd/${own.number}`)).toBe("/");
    own.close();
    expect(await errorOf(manager(bus, "OpenMachineRootDirectory", "s", "vm"))).toBe(
      "NotSupported: Opening the root directory is only supported on container machines.",
    );
  });

  test("descriptors of terminals and root directories block in read(2), for callers that do not poll them", async () => {
    const opened: Fd[] = [];
    for (const name of ["full", ".host"]) {
      const [root] = (await manager(bus, "OpenMachineRootDirectory", "s", name)) as [Fd];
      const [pty] = (await manager(bus, "OpenMachinePTY", "s", name)) as [Fd];
      opened.push(root, pty);
    }
    const [login] = (await manager(bus, "OpenMachineLogin", "s", "full")) as [Fd];
    const [program] = (await shell("full", "", "/bin/true", [], [])) as [Fd];
    opened.push(login, program);
    const flags = opened.map((fd) =>
      /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd.number}`, "utf8")),
    );
    for (const fd of opened) fd.close();
    expect(flags.map((found) => Number.parseInt(found?.[1] ?? "", 8) & O_NONBLOCK)).toEqual(Array(6).fill(0));
  });

  test("terminals, logins, shells and root directories are opened over Varlink as well", async () => {
    for (const [method, parameters, shown] of [
      ["Open", { mode: "tty" }, /^\/dev\/pts\/\d+$/],
      ["Open", { mode: "login" }, /^\/dev\/pts\/\d+$/],
      ["Open", { mode: "shell", path: "/bin/echo", args: ["echo", "hi"] }, /^\/dev\/pts\/\d+$/],
      ["OpenRootDirectory", {}, null],
    ] as const) {
      const reply = await varlink.call(`io.systemd.Machine.${method}`, { name: "full", ...parameters });
      if (shown === null) expect(reply).toEqual({ fileDescriptor: 0 });
      else expect(reply).toEqual({ ptyFileDescriptor: 0, ptyPath: expect.stringMatching(shown) });
    }
    expect(lastProgram()).toEqual(["/bin/echo", ["echo", "hi"], true]);
    expect(await failure(varlink.call("io.systemd.Machine.Open", { name: "full", mode: "nope" }))).toBe(
      'InvalidParameter {"parameter":"mode"}',
    );
    expect(await failure(varlink.call("io.systemd.Machine.Open", { name: "vm", mode: "tty" }))).toBe(
      "io.systemd.Machine.NotSupported {}",
    );
    expect(await failure(varlink.call("io.systemd.Machine.Open", { mode: "tty" }))).toBe(
      "io.systemd.Machine.NoSuchMachine {}",
    );
  });

  test("V48 descriptors are sent with their own reply, at the index that it names; an error has none", async () => {
    const replies: [text: string, kinds: string[]][] = [];
    const done = Promise.withResolvers<void>();
    const socket = connectUnix(join(daemon.runtime, "machine/io.systemd.Machine"));
    const stream = new VarlinkStream((handlers) => new SocketStream(socket, handlers, { takesDescriptors: 8 }), {
      message: (text, descriptors) => {
        replies.push([text, descriptors.map((fd) => statFd(fd).kind)]);
        for (const fd of descriptors) fd.close();
        if (replies.length === 4) done.resolve();
      },
      end: (error) => done.reject(error ?? new Error("the end")),
    });
    const call = (method: string, parameters: object) =>
      JSON.stringify({ method: `io.systemd.Machine.${method}`, parameters });
    stream.send([
      call("OpenRootDirectory", { name: "full" }),
      call("Open", { name: "vm", mode: "tty" }),
      call("Open", { name: "full", mode: "tty" }),
      call("List", { name: "full" }),
    ]);
    await done.promise;
    stream.close();
    expect(replies.map(([, kinds]) => kinds)).toEqual([["directory"], [], ["character"], []]);
    const parameters = replies.map(([text]) => JSON.parse(text).parameters);
    expect([parameters[0].fileDescriptor, parameters[2].ptyFileDescriptor]).toEqual([0, 0]);
    expect(JSON.parse(replies[1]?.[0] ?? "{}").error).toBe("io.systemd.Machine.NotSupported");
  });

  test("an error of the machine's manager reaches the caller unchanged", async () => {
    guest.refusal = ["org.freedesktop.systemd1.UnitMasked", "Unit is masked."];
    expect(await errorOf(manager(bus, "OpenMachineLogin", "s", "full"))).toContain("UnitMasked: Unit is masked.");
    guest.refusal = null;
  });

  test("a bus that ends the connection instead of a greeting, as one that is restarted, is greeted again", async () => {
    const path = join(daemon.runtime, "restarted-bus");
    let endings = 0;
    let connections = 0;
    const server = createServer((client) => {
      connections++;
      if (endings-- > 0) {
        client.destroy();
        return;
      }
      const through = createConnection(guestBus.socket);
      // Either side may close first.
      for (const end of [client, through]) end.on("error", () => {});
      client.pipe(through).pipe(client);
    });
    await new Promise<void>((resolve) => server.listen(path, resolve));
    await using machine = await TestMachine.start(["--mount"], { socket: path });
    await register(bus, "restarted", machine.pid);
    const login = () => manager(bus, "OpenMachineLogin", "s", "restarted");
    endings = 2;
    const [pty] = (await login()) as [Fd];
    pty.close();
    expect(connections).toBe(3);
    endings = Number.POSITIVE_INFINITY;
    expect(await errorOf(login())).toContain("Disconnected: Connection terminated");
    expect(connections).toBe(6);
    await manager(bus, "UnregisterMachine", "s", "restarted");
    server.close();
  });

  test("callers that wait for the bus of a machine that is unregistered get an error, and leave no descriptor open", async () => {
    const path = join(daemon.runtime, "full-bus");
    const script = `import socket, sys, time
def made(): return socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
server, waiting = made(), []
server.bind(sys.argv[1])
server.listen(0)
try:
    while True:
        client = made()
        client.setblocking(False)
        client.connect(sys.argv[1])
        waiting.append(client)
except BlockingIOError:
    print("full", flush=True)
time.sleep(1000)`;
    const listener = Bun.spawn(["python3", "-c", script, path], { stdio: ["ignore", "pipe", "inherit"] });
    using ended = new DisposableStack();
    ended.defer(() => listener.kill("SIGKILL"));
    await listener.stdout.getReader().read();
    await using machine = await TestMachine.start(["--mount"], { socket: path });
    const before = openDescriptors(daemon.pid);
    await register(bus, "waiting", machine.pid);
    const logins = Array.from({ length: LEAK_ROUNDS }, () => errorOf(manager(bus, "OpenMachineLogin", "s", "waiting")));
    await manager(bus, "UnregisterMachine", "s", "waiting");
    for (const error of await Promise.all(logins)) expect(error).toContain("No such process");
    expectNothingLeft(before, daemon.pid);
  });

  test(
    "a machine that does not answer blocks its caller for some seconds, and nobody else",
    async () => {
      guest.isSilent = true;
      const waiting = errorOf(manager(bus, "OpenMachineLogin", "s", "full"));
      expect(await heldUpAlone(waiting)).toBe("Timeout: The system bus in container full does not answer.");
      guest.isSilent = false;
    },
    GUARD_MS,
  );

  /** Makes other calls until `answer` has come, so that they were not blocked for as long. Returns the answer. */
  async function heldUpAlone(answer: Promise<string>): Promise<string> {
    let isWaiting = true;
    const settled = answer.finally(() => {
      isWaiting = false;
    });
    const beganMs = performance.now();
    let worstMs = 0;
    while (isWaiting) {
      const askedMs = performance.now();
      await manager(bus, "ListMachines");
      worstMs = Math.max(worstMs, performance.now() - askedMs);
    }
    expect(worstMs).toBeLessThan((performance.now() - beganMs) / 2);
    return settled;
  }

  test("hundreds of terminals, also failed ones, leave no descriptor open", async () => {
    const before = openDescriptors(daemon.pid);
    for (let round = 0; round < 100; round++) {
      const opened = (await Promise.all([
        manager(bus, "OpenMachinePTY", "s", "full"),
        shell("full", "", "/bin/true", [], []),
        manager(bus, "OpenMachineRootDirectory", "s", "full"),
        manager(bus, "OpenMachineLogin", "s", "bare").catch(() => []),
        shell("full", "", "relative", [], []).catch(() => []),
      ])) as [Fd?][];
      for (const [fd] of opened) fd?.close();
      await varlink.call("io.systemd.Machine.Open", { name: "full", mode: "tty" });
    }
    await waitFor(() => expectNothingLeft(before, daemon.pid), "the daemon's descriptors");
  });

  test.each([
    ["its os-release", "/etc", () => manager(bus, "GetMachineOSRelease", "s", "stuck")],
    ["its bus", "/run", () => shell("stuck", "", "/bin/true", [], [])],
    ["its terminals", "/dev/pts", () => manager(bus, "OpenMachinePTY", "s", "stuck")],
  ])(
    "a machine whose file system never answers for %s blocks only its own caller",
    async (_what, place, call) => {
      await using machine = await TestMachine.start(["--mount"], null, deadFileSystem(place));
      await register(bus, "stuck", machine.pid);
      expect(await heldUpAlone(errorOf(call()))).toContain("does not give access");
      await manager(bus, "UnregisterMachine", "s", "stuck");
    },
    GUARD_MS,
  );
});
