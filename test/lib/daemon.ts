// A systemd-machined for a test: run from source with a private runtime directory and without a bus, so that it uses
// its own control groups instead of systemd. `await using` ends it and all processes that it has started.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { type BusClient, connectBus } from "../../src/ipc/bus/client.ts";
import type { VarlinkClient } from "../../src/ipc/varlink/client.ts";
import { connectVarlink } from "../../src/ipc/varlink/connect.ts";
import { removeCgroup } from "../../src/kernel/cgroup/cgroup.ts";
import { unlessSyscallError } from "../../src/kernel/syscall/sys.ts";
import { sliceOf } from "../../src/machined/machines/own-cgroups.ts";
import { waitFor } from "./wait-for.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

export const isRoot = process.geteuid?.() === 0;
/** The suffix of the title of a test that needs root, so that the reason is printed when it is skipped. */
export const needsRoot = isRoot ? "" : " (left out: needs root)";

/** A daemon, and leaders of machines for it. */
export class TestDaemon implements AsyncDisposable {
  readonly runtime: string;
  /** Not in the runtime directory, because tests fill that file system. */
  readonly #logFile: string;
  readonly #env: Record<string, string>;
  readonly #args: readonly string[];
  readonly #command: readonly string[];
  #process: Subprocess | null = null;
  #isKilled = false;
  readonly #leaders: Subprocess[] = [];
  readonly #clients: { close(): void }[] = [];

  private constructor(env: Record<string, string>, args: readonly string[], command: readonly string[]) {
    this.runtime = mkdtempSync(join(tmpdir(), "machined-test-"));
    this.#logFile = `${this.runtime}.log`;
    this.#env = env;
    this.#args = args;
    this.#command = command;
  }

  /** Starts a daemon with environment variables and arguments; with --user, it uses the same runtime directory. */
  static async start(env: Record<string, string> = {}, args: readonly string[] = []): Promise<TestDaemon> {
    const daemon = TestDaemon.prepare(env, args);
    try {
      await daemon.run();
    } catch (error) {
      // Nobody else has it yet.
      await daemon[Symbol.asyncDispose]();
      throw error;
    }
    return daemon;
  }

  /** Returns a daemon that has not been started, so that a test can put files into its directory before run(). */
  static prepare(
    env: Record<string, string> = {},
    args: readonly string[] = [],
    command: readonly string[] = [process.execPath, MAIN],
  ): TestDaemon {
    return new TestDaemon(env, args, command);
  }

  /** The log of all runs of the daemon. */
  get log(): string {
    return readFileSync(this.#logFile, "utf8");
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** The control group of its machines. */
  get slice(): string {
    return sliceOf(this.runtime);
  }

  /** Starts the daemon in its directory, for the first time or again. Throws an error with its log where it ends. */
  async run(): Promise<void> {
    const log = openSync(this.#logFile, "a");
    this.#isKilled = false;
    this.#process = Bun.spawn([...this.#command, "systemd-machined", ...this.#args], {
      env: {
        PATH: process.env["PATH"] ?? "",
        XDG_RUNTIME_DIR: this.runtime,
        ...this.#env,
        MACHINED_RUNTIME_DIRECTORY: this.runtime,
      },
      stdio: ["ignore", "ignore", process.env["TEST_VERBOSE"] ? "inherit" : log],
    });
    closeSync(log);
    const end = await waitFor(async () => {
      // Looked at before: who ends the daemon may have its socket open still.
      const how = this.#end;
      try {
        (await this.connect()).close();
        return null;
      } catch (error) {
        if (how === null) throw error;
        return how;
      }
    }, "the daemon's private socket");
    if (end === null) return;
    this.#isKilled = true;
    throw new Error(`The daemon has ended, ${end}:\n${this.log}`);
  }

  /** Sends a signal that ends the daemon, and waits for its end; returns its exit status. */
  async kill(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.#isKilled = true;
    this.#process?.kill(signal);
    return (await this.#process?.exited) ?? 0;
  }

  /** Connects to the private D-Bus socket; the caller closes the connection. */
  connect(): Promise<BusClient> {
    return connectBus({ kind: "private", path: join(this.runtime, "machine/private") });
  }

  /** Connects to the private D-Bus socket; the connection is closed with the daemon. */
  async bus(): Promise<BusClient> {
    const client = await this.connect();
    this.#clients.push(client);
    return client;
  }

  /** Connects to the Varlink socket; the connection is closed with the daemon. */
  async varlink(): Promise<VarlinkClient> {
    const client = await connectVarlink(join(this.runtime, "machine/io.systemd.Machine"));
    this.#clients.push(client);
    return client;
  }

  /** Starts a process to register, in new namespaces given as options of unshare(1); returns its number. */
  async leader(...unshare: string[]): Promise<number> {
    const command = unshare.length === 0 ? ["sleep", "1000"] : ["unshare", ...unshare, "sleep", "1000"];
    const child = Bun.spawn(command, { stdio: ["ignore", "ignore", "ignore"] });
    this.#leaders.push(child);
    await waitFor(async () => {
      const comm = await Bun.file(`/proc/${child.pid}/comm`).text();
      if (comm.trim() !== "sleep") throw new Error("sleep(1) has not been executed yet");
    }, "the leader");
    return child.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    this.#reportEarlyEnd();
    await this.kill();
    for (const leader of this.#leaders) {
      leader.kill("SIGKILL");
      await leader.exited;
    }
    // A process that the test itself ends later keeps it; an empty cgroup does no harm.
    unlessSyscallError(() => removeCgroup(this.slice), undefined);
    rmSync(this.runtime, { recursive: true, force: true });
    rmSync(this.#logFile, { force: true });
  }

  /** Where a daemon has ended by itself, its tests fail with errors of their own, which do not show that. */
  #reportEarlyEnd(): void {
    if (this.#isKilled || this.#end === null) return;
    console.error(`A daemon under test has ended by itself, ${this.#end}:\n${this.log}`);
  }

  /** How the daemon has ended; null while it runs. */
  get #end(): string | null {
    const { exitCode, signalCode } = this.#process ?? { exitCode: null, signalCode: null };
    if (signalCode !== null) return `${signalCode}`;
    return exitCode === null ? null : `status ${exitCode}`;
  }
}

const MANAGER = {
  destination: "org.freedesktop.machine1",
  path: "/org/freedesktop/machine1",
  interface: "org.freedesktop.machine1.Manager",
};

/** Calls a method of the manager; returns the values of the reply. Throws a BusError. */
export function manager(bus: BusClient, member: string, signature = "", ...body: unknown[]): Promise<unknown[]> {
  return bus.call({ ...MANAGER, member, signature, body });
}

/** Calls a method of the object at `path`; returns the values of the reply. Throws a BusError. */
export function object(
  bus: BusClient,
  path: string,
  iface: string,
  member: string,
  signature = "",
  ...body: unknown[]
): Promise<unknown[]> {
  return bus.call({ destination: MANAGER.destination, path, interface: iface, member, signature, body });
}

/** Returns the value of a property of an object of the manager. */
export function getProperty(bus: BusClient, path: string, iface: string, name: string): Promise<unknown> {
  const call = object(bus, path, "org.freedesktop.DBus.Properties", "Get", "ss", iface, name);
  return call.then(([variant]) => (variant as { value: unknown }).value);
}

/** Returns "NAME: TEXT" of the error reply of a call. Throws if the call succeeds. */
export async function errorOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    const { errorName, message } = error as { errorName?: string; message: string };
    return `${errorName?.replace("org.freedesktop.DBus.Error.", "")}: ${message}`;
  }
  throw new Error("the call succeeded");
}

/** Registers a machine with a leader; with `create`, by a call that makes a scope for it. */
export function register(
  bus: BusClient,
  name: string,
  leader: number,
  options: {
    class?: string;
    id?: Uint8Array;
    service?: string;
    root?: string;
    ifindices?: number[];
    create?: true;
  } = {},
): Promise<unknown[]> {
  const member = options.create ? "CreateMachineWithNetwork" : "RegisterMachineWithNetwork";
  const signature = options.create ? "sayssusaia(sv)" : "sayssusai";
  const scope = options.create ? [[]] : [];
  return manager(
    bus,
    member,
    signature,
    name,
    options.id ?? Buffer.alloc(0),
    options.service ?? "test",
    options.class ?? "container",
    leader,
    options.root ?? "",
    options.ifindices ?? [],
    ...scope,
  );
}
