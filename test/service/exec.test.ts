// machined-exec with a machined, called by root: which calls are refused, and which block others.
import { afterEach, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { join } from "node:path";
import { IoMachinedExec } from "../../src/api/varlink/io-machined-exec.ts";
import { IoSystemdMachine } from "../../src/api/varlink/io-systemd-machine.ts";
import { Peers } from "../../src/ipc/peers.ts";
import { VarlinkError } from "../../src/ipc/varlink/client.ts";
import { connectVarlink } from "../../src/ipc/varlink/connect.ts";
import { type VarlinkCall, VarlinkServer } from "../../src/ipc/varlink/server.ts";
import { readSome, writeSome } from "../../src/kernel/file/byte-io.ts";
import { type Fd, openPath, setNonblocking } from "../../src/kernel/file/fd.ts";
import { sealedFile } from "../../src/kernel/file/memory-file.ts";
import { PidRef } from "../../src/kernel/process/pidref.ts";
import { openPipe, readToEnd } from "../../src/kernel/process/pipe.ts";
import { SocketStream } from "../../src/kernel/socket/stream.ts";
import { listenUnix, sendMessage, socketPair } from "../../src/kernel/socket/unix.ts";
import { getWindowSize, openPty, openPtyPeer } from "../../src/kernel/terminal/pty.ts";
import { scratchDirectory } from "../kernel/support.ts";
import { errorOf, isRoot, register, TestDaemon } from "../lib/daemon.ts";
import { provideEnterProgram } from "../lib/enter-program.ts";
import { havePrograms } from "../lib/programs.ts";
import { mountSilent } from "../lib/silent-file-system.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { muteFileSystem, TestMachine } from "./open-support.ts";

setDefaultTimeout(GUARD_MS);

const MAIN = join(import.meta.dir, "../../src/main.ts");
const OUTPUT_LIMIT_BYTES = 1 << 20;
const canRun = isRoot && havePrograms("running commands in machines", "gcc", "unshare");

const hasPython = havePrograms("callers whose standard input does not answer", "python3");

function childrenOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").filter(Boolean);
}

/** The targets of a process's descriptors. */
/**
 * Expects that one of the processes waits for the mute file system of a machine, and cannot be killed: its server has
 * read the request, and waits for the next one.
 */
function expectHung(mute: TestMachine, pids: readonly (string | undefined)[]): void {
  const placesOf = (processes: readonly (string | undefined)[]) =>
    processes.map((pid) => readFileSync(`/proc/${pid}/wchan`, "latin1")).join();
  expect(placesOf(pids)).toContain("request_wait_answer");
  expect(placesOf(childrenOf(mute.pid))).toContain("fuse_dev");
}

function descriptorsOf(pid: number): string[] {
  return readdirSync(`/proc/${pid}/fd`).map((number) => {
    try {
      return readlinkSync(`/proc/${pid}/fd/${number}`);
    } catch {
      return ""; // closed in the meantime
    }
  });
}

describe.skipIf(!canRun)(canRun ? "machined-exec" : "machined-exec (left out: needs root, gcc and unshare)", () => {
  const ends: AsyncDisposable[] = [];
  beforeAll(provideEnterProgram);
  afterEach(async () => {
    for (const end of ends.splice(0).reverse()) await end[Symbol.asyncDispose]();
  });

  /** Starts both services; returns the daemon and a function that calls machined-exec. */
  async function start() {
    const daemon = await TestDaemon.start();
    ends.push(daemon);
    const env = { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: daemon.runtime };
    const child = Bun.spawn([process.execPath, MAIN, "machined-exec"], { env, stdio: ["ignore", "ignore", "inherit"] });
    ends.push({
      [Symbol.asyncDispose]: async () => {
        child.kill();
        await child.exited;
      },
    });
    const path = join(daemon.runtime, "machine/io.machined.Exec");
    await waitFor(async () => (await connectVarlink(path)).close(), "machined-exec");
    /** Runs a command; returns what it wrote, and the reply. */
    const run = async (parameters: object): Promise<Record<string, unknown>> => {
      const client = await connectVarlink(path);
      const [end, output] = openPipe();
      const descriptors = [openPath("/dev/null", "read"), output, output.duplicate()];
      const reply = client.call("io.machined.Exec.Run", parameters, { descriptors, timeoutMs: GUARD_MS });
      const text = readToEnd(end, OUTPUT_LIMIT_BYTES).then(String);
      try {
        return { ...(await reply), text: await text };
      } finally {
        client.close();
      }
    };
    return { daemon, run, pid: child.pid, path };
  }

  async function machine(daemon: TestDaemon, name: string, more = "true"): Promise<TestMachine> {
    const started = await TestMachine.start(["--mount"], null, more);
    ends.push(started);
    await register(await daemon.bus(), name, started.pid);
    return started;
  }

  test("a machine whose user database does not answer blocks only its own callers", async () => {
    const { daemon, run, pid } = await start();
    const mute = await machine(daemon, "mute", `${muteFileSystem()} && ln -s /run/mute/passwd /run/etc/passwd`);
    await machine(daemon, "good");
    const held = run({ machine: "mute", command: ["true"] });
    await waitFor(() => expect(childrenOf(pid)).toHaveLength(1), "the call to hang in the machine");
    expect(await run({ machine: "good", command: ["echo", "x"] })).toEqual({ exitStatus: 0, text: "x\n" });
    expect(await run({ machine: "good", command: ["sh", "-c", "exit 43"] })).toEqual({ exitStatus: 43, text: "" });
    mute.signal("SIGKILL");
    expect(await held).toMatchObject({ exitStatus: 125, text: "", message: expect.any(String) });
  });

  test("a machine that has ended before the command's process looks is reported as such", async () => {
    const ended = Bun.spawn(["sleep", "1000"], { stdio: ["ignore", "ignore", "ignore"] });
    using leader = PidRef.of(ended.pid);
    ended.kill("SIGKILL");
    await ended.exited;
    using words = sealedFile("test", Buffer.from(JSON.stringify({ machine: "gone", left: null, sinceUsec: "0" })));
    const [failure, writeEnd] = openPipe();
    const [life, held] = openPipe();
    const fds = [writeEnd, leader.pidfd as Fd, words, life].map(({ number }) => number);
    const child = Bun.spawn([process.execPath, MAIN, "machined-exec-command"], {
      stdio: ["ignore", "ignore", "inherit", ...fds],
    });
    expect(await child.exited).toBe(125);
    writeEnd.close();
    expect((await readToEnd(failure, 1000)).toString()).toBe("Machine 'gone' has ended");
    for (const fd of [life, held]) fd.close();
  });

  test.skipIf(!hasPython)(
    `callers whose standard input does not answer block nobody else${hasPython ? "" : " (left out: needs python3)"}`,
    async () => {
      const { daemon, run, path, pid } = await start();
      await machine(daemon, "good");
      using silent = await mountSilent(join(scratchDirectory(), "silent"), "flush");
      const script = join(import.meta.dir, "../lib/exec-with-file.py");
      const args = ["python3", script, path, "good", join(silent.path, "image"), "4"];
      const greedy = Bun.spawn(args, { stdio: ["ignore", "pipe", "inherit"] });
      try {
        await greedy.stdout.getReader().read();
        await waitFor(() => expect(childrenOf(pid)).toHaveLength(4), "the commands");
        for (let i = 0; i < 5; i++) {
          expect(await run({ machine: "good", command: ["echo", "x"] })).toEqual({ exitStatus: 0, text: "x\n" });
        }
        expect(descriptorsOf(pid).filter((target) => target.startsWith(silent.path))).toEqual([]);
      } finally {
        greedy.kill("SIGKILL");
      }
    },
  );

  test("a call that is longer than one read of the connection arrives with its descriptors", async () => {
    const { daemon, run } = await start();
    await machine(daemon, "good");
    for (const length of [10_000, 60_000, 100_000]) {
      const command = ["sh", "-c", 'printf %s "$1" | wc -c', "sh", "x".repeat(length)];
      expect(await run({ machine: "good", command })).toEqual({ exitStatus: 0, text: `${length}\n` });
    }
  });

  test("a new terminal has its size before the command begins", async () => {
    const { daemon, run, path } = await start();
    await machine(daemon, "good");
    const [ours, theirs] = socketPair();
    const client = await connectVarlink(path);
    const { promise: master, resolve } = Promise.withResolvers<Fd | undefined>();
    const stream = new SocketStream(
      ours,
      { data: (_bytes, fds) => resolve(fds[0]), end: () => resolve(undefined) },
      { takesDescriptors: 1 },
    );
    const command = ["sh", "-c", "stty size; read -r _"];
    const parameters = { machine: "good", command, terminal: true, rows: 33, columns: 101 };
    const reply = client.call("io.machined.Exec.Run", parameters, { descriptors: [theirs], timeoutMs: GUARD_MS });
    using terminal = (await Promise.race([master, reply])) as Fd;
    setNonblocking(terminal);
    let printed = "";
    await waitFor(() => {
      printed += String(readSome(terminal) ?? "");
      expect(printed).toContain("\n");
    }, "the size of the terminal");
    expect(printed).toBe("33 101\r\n");
    writeSome(terminal, Buffer.from("\n"));
    expect(await reply).toMatchObject({ exitStatus: 0 });
    stream.close();
    for (const wrong of [{ rows: -1 }, { columns: 65536 }]) {
      expect(await errorOf(run({ ...parameters, ...wrong }))).toContain("InvalidParameter");
    }
    client.close();
  });

  test("a service of an older release, which does not know the size of a terminal, is called again without it", async () => {
    const { daemon } = await start();
    await machine(daemon, "good");
    const { rows: _rows, columns: _columns, ...known } = IoMachinedExec.methods.Run.in;
    const older = { ...IoMachinedExec, methods: { Run: { ...IoMachinedExec.methods.Run, in: known } } };
    const calls: object[] = [];
    const Run = async (call: VarlinkCall, parameters: object) => {
      const [socket] = call.descriptors?.receive(3) ?? [];
      const { master } = openPty();
      using _master = master;
      using terminal = openPtyPeer(master);
      sendMessage(socket as Fd, Buffer.from("t"), [master]);
      (socket as Fd).close();
      calls.push(parameters);
      await waitFor(() => expect(getWindowSize(terminal)).toEqual({ rows: 33, columns: 101 }), "the size");
      return { exitStatus: 43 };
    };
    const server = new VarlinkServer({
      product: "older",
      version: "0",
      peers: new Peers(),
      interfaces: [{ table: older, handlers: { Run } }],
      bug: (error) => {
        throw error;
      },
      debug: () => {},
    });
    ends.push({ [Symbol.asyncDispose]: async () => server.close() });
    const path = join(daemon.runtime, "machine/io.machined.Exec");
    rmSync(path);
    server.listen(listenUnix(path, { mode: 0o666 }));
    const size = { LINES: "33", COLUMNS: "101", TERM: "dumb" };
    const env = { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: daemon.runtime, ...size };
    const words = ["machinectl", "exec", "-t", "--through-service", "good", "true"];
    const client = Bun.spawn([process.execPath, MAIN, ...words], { env, stdio: ["ignore", "pipe", "pipe"] });
    expect(await new Response(client.stderr).text()).toBe("");
    expect(await client.exited).toBe(43);
    expect(calls).toEqual([expect.not.objectContaining({ rows: 33 })]);
  });

  test("root's exec asks the manager in one call, without a bus, and refuses a leader of another id", async () => {
    const runtime = scratchDirectory();
    mkdirSync(join(runtime, "machine"));
    const started = await TestMachine.start(["--mount"], null);
    ends.push(started);
    using leader = PidRef.of(started.pid);
    const calls: object[] = [];
    let id = leader.id;
    const List = async (_call: VarlinkCall, parameters: object) => {
      calls.push(parameters);
      const process = { pid: started.pid, ...(id === null ? {} : { pidfdId: Number(id) }) };
      return { name: "good", class: "container", leader: process };
    };
    const table = { ...IoSystemdMachine, methods: { List: IoSystemdMachine.methods.List } };
    const server = new VarlinkServer({
      product: "any",
      version: "0",
      peers: new Peers(),
      interfaces: [{ table, handlers: { List } }],
      bug: (error) => {
        throw error;
      },
      debug: () => {},
    });
    ends.push({ [Symbol.asyncDispose]: async () => server.close() });
    server.listen(listenUnix(join(runtime, "machine/io.systemd.Machine"), { mode: 0o600 }));
    const env = { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: runtime };
    const exec = async () => {
      const argv = [process.execPath, MAIN, "machinectl", "exec", "good", "echo", "x"];
      const client = Bun.spawn(argv, { env, stdio: ["ignore", "pipe", "pipe"] });
      return [await client.stdout.text(), await client.stderr.text(), await client.exited];
    };
    expect(await exec()).toEqual(["x\n", "", 0]);
    if (leader.id === null) return;
    expect(calls).toEqual([{ name: "good" }]);
    id = leader.id + 1n;
    expect(await exec()).toEqual(["", "Machine 'good' has ended\n", 125]);
  });

  test("a call with a wrong number of descriptors is answered with an error, and runs nothing", async () => {
    const { daemon, path } = await start();
    await machine(daemon, "good");
    for (const count of [1, 2, 4]) {
      const client = await connectVarlink(path);
      const descriptors = Array.from({ length: count }, () => openPath("/dev/null", "read-write"));
      const parameters = { machine: "good", command: ["true"] };
      expect(await client.call("io.machined.Exec.Run", parameters, { descriptors, timeoutMs: GUARD_MS })).toEqual({
        exitStatus: 125,
        message: expect.any(String),
      });
      client.close();
    }
    const client = await connectVarlink(path);
    expect(await client.call("io.machined.Exec.Run", { machine: "good", command: ["true"] })).toEqual({
      exitStatus: 125,
      message: "This call needs three descriptors: standard input, output and error",
    });
    client.close();
  });

  test("a command has the time that it was given, also of more than 24 days", async () => {
    const { daemon, run } = await start();
    // A process of its own reads the user database, as in every container on an overlay.
    const layers = "mkdir /run/empty && mount -t overlay layers -o lowerdir=/run/empty:/etc /etc";
    await machine(daemon, "layers", layers);
    const days = 86_400_000_000;
    expect(await run({ machine: "layers", command: ["true"], timeoutUSec: 20 * days })).toMatchObject({
      exitStatus: 0,
    });
    expect(await run({ machine: "layers", command: ["true"], timeoutUSec: 30 * days })).toMatchObject({
      exitStatus: 0,
    });
  });

  test("a command whose user database does not answer ends at its time limit, by a signal, and when its caller disconnects", async () => {
    const { daemon, run, pid, path } = await start();
    await machine(daemon, "mute", `${muteFileSystem()} && ln -s /run/mute/passwd /run/etc/passwd`);
    const onlyWaits = (count: number) =>
      waitFor(() => expect(childrenOf(pid)).toHaveLength(count), `${count} children`);
    expect(await run({ machine: "mute", command: ["true"], timeoutUSec: 500_000 })).toMatchObject({ exitStatus: 124 });
    const held = run({ id: "held", machine: "mute", command: ["true"] });
    await onlyWaits(1);
    const client = await connectVarlink(path);
    await client.call("io.machined.Exec.Signal", { id: "held", signal: 2 });
    expect(await held).toMatchObject({ exitStatus: 130 });
    const descriptors = [0, 1, 2].map(() => openPath("/dev/null", "read"));
    const options = { descriptors, timeoutMs: GUARD_MS };
    const left = errorOf(client.call("io.machined.Exec.Run", { machine: "mute", command: ["true"] }, options));
    await onlyWaits(1);
    client.close();
    await left;
    await onlyWaits(0);
  });

  test("a process that hangs in a machine occupies its caller's place until it has ended, and root's direct exec ends as well", async () => {
    const { daemon, run, pid, path } = await start();
    const mute = await machine(daemon, "mute", `${muteFileSystem()} && ln -s /run/mute/passwd /run/etc/passwd`);
    const limited = { id: "one", machine: "mute", command: ["true"] };
    const reply = run(limited);
    await waitFor(() => {
      const [reader] = childrenOf(Number(childrenOf(pid)[0]));
      expectHung(mute, [reader]);
    }, "the user database to be read");
    const client = await connectVarlink(path);
    await client.call("io.machined.Exec.Signal", { id: "one", signal: 2 });
    client.close();
    expect(await reply).toMatchObject({ exitStatus: 130 });
    expect(await errorOf(run(limited))).toContain("InvalidParameter");
    const env = { ...process.env, MACHINED_RUNTIME_DIRECTORY: daemon.runtime };
    const child = Bun.spawn([process.execPath, MAIN, "machinectl", "exec", "--timeout=500ms", "mute", "true"], {
      stdio: ["ignore", "ignore", "inherit"],
      env,
    });
    expect(await child.exited).toBe(124);
    mute.signal("SIGKILL");
    await waitFor(async () => expect(await errorOf(run(limited))).toContain("NoSuchMachine"), "the place to be left");
  });

  test("a command whose directory does not answer is ended by a signal", async () => {
    const { daemon, run, path, pid } = await start();
    const mute = await machine(daemon, "mute", muteFileSystem());
    const client = await connectVarlink(path);
    const descriptors = [0, 1, 2].map(() => openPath("/dev/null", "read"));
    const parameters = { id: "held", machine: "mute", directory: "/run/mute/x", command: ["true"] };
    const reply = client.call("io.machined.Exec.Run", parameters, { descriptors, timeoutMs: GUARD_MS });
    const helper = await waitFor(() => {
      const found = childrenOf(Number(childrenOf(pid)[0]))[0];
      expectHung(mute, [found]);
      return found;
    }, "the command to hang");
    expect(helper).toBeDefined();
    const other = await connectVarlink(path);
    await other.call("io.machined.Exec.Signal", { id: "held", signal: 2 });
    expect(await reply).toMatchObject({ exitStatus: 130 });
    client.close();
    other.close();
    // The hanging process occupies the caller's place until its file system is gone.
    const again = { id: "held", machine: "mute", command: ["true"] };
    expect(await errorOf(run(again))).toContain("InvalidParameter");
    mute.signal("SIGKILL");
    await waitFor(async () => expect(await errorOf(run(again))).toContain("NoSuchMachine"), "the place to be left");
  });

  test("a command whose directory waits for a file system that reads no requests is ended by a signal", async () => {
    const { daemon, path, pid } = await start();
    const mute = await machine(daemon, "mute", muteFileSystem());
    for (const server of childrenOf(mute.pid)) process.kill(Number(server), "SIGSTOP");
    const client = await connectVarlink(path);
    const descriptors = [0, 1, 2].map(() => openPath("/dev/null", "read"));
    const parameters = { id: "held", machine: "mute", directory: "/run/mute/x", command: ["true"] };
    const reply = client.call("io.machined.Exec.Run", parameters, { descriptors, timeoutMs: GUARD_MS });
    await waitFor(() => {
      const helper = childrenOf(Number(childrenOf(pid)[0]))[0];
      expect(readFileSync(`/proc/${helper}/wchan`, "latin1")).toContain("request_wait_answer");
    }, "the command to hang");
    const other = await connectVarlink(path);
    await other.call("io.machined.Exec.Signal", { id: "held", signal: 2 });
    // The helper can be killed, because its request has not been read.
    expect(await reply).toMatchObject({ exitStatus: 130 });
    client.close();
    other.close();
  });

  test("a detached command whose program does not answer is ended by a signal", async () => {
    const { daemon, run, path, pid } = await start();
    const mute = await machine(daemon, "mute", muteFileSystem());
    const started = run({ id: "held", machine: "mute", command: ["/run/mute/x"], detach: true });
    await waitFor(() => {
      const [supervisor] = childrenOf(pid);
      expectHung(mute, childrenOf(Number(supervisor)));
    }, "the program to hang");
    const client = await connectVarlink(path);
    await client.call("io.machined.Exec.Signal", { id: "held", signal: 2 });
    client.close();
    expect(await started).toMatchObject({ exitStatus: 130 });
    const again = { id: "held", machine: "mute", command: ["true"] };
    expect(await errorOf(run(again))).toContain("InvalidParameter");
    mute.signal("SIGKILL");
    await waitFor(async () => expect(await errorOf(run(again))).toContain("NoSuchMachine"), "the place to be left");
  });

  test("a failure before the command starts is reported in the reply, and nothing is written to the caller's descriptors", async () => {
    const { daemon, run } = await start();
    await machine(daemon, "good");
    expect(await run({ machine: "good", user: "nobody-of-that-name", command: ["true"] })).toEqual({
      exitStatus: 125,
      message: "There is no user 'nobody-of-that-name' in machine 'good' (its /etc/passwd was read)",
      text: "",
    });
    const stays = { machine: "good", command: ["true"], detach: true };
    expect(await run({ ...stays, terminal: true })).toMatchObject({
      exitStatus: 125,
      message: "A command that is left running in machine 'good' cannot have a terminal: no process stays to manage it",
    });
    expect(await errorOf(run({ machine: "good", command: ["true"], timeoutUSec: -1 }))).toContain("InvalidParameter");
    expect(await run({ machine: "good", command: ["sleep", "1000"], timeoutUSec: 1 })).toMatchObject({
      exitStatus: 124,
    });
  });

  test("only containers are entered: a virtual machine's leader is a process of the host", async () => {
    const { daemon, run } = await start();
    await register(await daemon.bus(), "vm1", await daemon.leader(), { class: "vm" });
    expect(await run({ machine: "vm1", command: ["id"] })).toEqual({
      exitStatus: 125,
      message: "Machine 'vm1' is of class 'vm', and commands can only run in containers",
      text: "",
    });
  });

  test("signals that would end the child in place of the command are not passed on", async () => {
    const { path } = await start();
    const client = await connectVarlink(path);
    const errno = async (signal: number) => {
      const error = await client.call("io.machined.Exec.Signal", { id: "any", signal }).catch((reason) => reason);
      return error instanceof VarlinkError ? error.parameters["errnoName"] : error;
    };
    for (const signal of [9, 19, 18, 64, 0, -1]) expect(await errno(signal)).toBe("EINVAL");
    expect(await errno(15)).toBe("ESRCH");
    client.close();
  });

  test("a client says that it waits for a service that does not answer, and ends with the reason", async () => {
    await using daemon = await TestDaemon.start();
    const env = { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: daemon.runtime };
    await register(await daemon.bus(), "web", await daemon.leader());
    const silent = Bun.listen({ unix: join(daemon.runtime, "machine/io.machined.Exec"), socket: { data() {} } });
    try {
      const argv = [process.execPath, MAIN, "machinectl", "exec", "--through-service", "web", "true"];
      const child = Bun.spawn(argv, { env, stdio: ["ignore", "pipe", "pipe"] });
      expect([await child.stderr.text(), await child.exited]).toEqual([
        "Waiting for machined-exec …\nCannot run 'true' in machine 'web': No answer from machined-exec in time\n",
        125,
      ]);
    } finally {
      silent.stop(true);
    }
  });
});
