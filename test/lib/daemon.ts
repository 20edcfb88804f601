// A systemd-machined of our own for a test: from source, in a private runtime directory, on the embedded service manager.
// Everything it starts is ended by `using`.
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { type BusClient, connectBus } from "../../src/ipc/bus/client.ts";
import type { VarlinkClient } from "../../src/ipc/varlink/client.ts";
import { connectVarlink } from "../../src/ipc/varlink/connect.ts";
import { waitFor } from "./wait-for.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");

export const isRoot = process.geteuid?.() === 0;
/** What a test that needs root is called where there is none: the reason stands in the output. */
export const needsRoot = isRoot ? "" : " (left out: needs root)";

export class TestDaemon implements AsyncDisposable {
  readonly runtime: string;
  /** Beside the runtime directory, which a test may fill. */
  readonly #logFile: string;
  readonly #env: Record<string, string>;
  readonly #args: readonly string[];
  readonly #command: readonly string[];
  #process: Subprocess | null = null;
  readonly #leaders: Subprocess[] = [];
  readonly #clients: { close(): void }[] = [];

  private constructor(env: Record<string, string>, args: readonly string[], command: readonly string[]) {
    this.runtime = mkdtempSync(join(tmpdir(), "machined-test-"));
    this.#logFile = `${this.runtime}.log`;
    this.#env = env;
    this.#args = args;
    this.#command = command;
  }

  /** Starts a daemon with these variables and arguments; a user's daemon has its runtime directory as user, too. */
  static async start(env: Record<string, string> = {}, args: readonly string[] = []): Promise<TestDaemon> {
    const daemon = TestDaemon.prepare(env, args);
    await daemon.run();
    return daemon;
  }

  /** The same without starting it: its directory can be furnished before `run()`. */
  static prepare(
    env: Record<string, string> = {},
    args: readonly string[] = [],
    command: readonly string[] = [process.execPath, MAIN],
  ): TestDaemon {
    return new TestDaemon(env, args, command);
  }

  /** What it has written to its log, over all its lives. */
  get log(): string {
    return readFileSync(this.#logFile, "utf8");
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Starts the daemon (again) in the same directory. */
  async run(): Promise<void> {
    const log = openSync(this.#logFile, "a");
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
    await waitFor(async () => (await this.connect()).close(), "the daemon's private socket");
  }

  /** Ends the daemon with a signal and waits until it is gone. */
  async kill(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.#process?.kill(signal);
    return (await this.#process?.exited) ?? 0;
  }

  connect(): Promise<BusClient> {
    return connectBus({ kind: "private", path: join(this.runtime, "machine/private") });
  }

  async bus(): Promise<BusClient> {
    const client = await this.connect();
    this.#clients.push(client);
    return client;
  }

  async varlink(): Promise<VarlinkClient> {
    const client = await connectVarlink(join(this.runtime, "machine/io.systemd.Machine"));
    this.#clients.push(client);
    return client;
  }

  /** A process to register, in the given namespaces of its own (unshare's options). */
  async leader(...unshare: string[]): Promise<number> {
    const command = unshare.length === 0 ? ["sleep", "1000"] : ["unshare", ...unshare, "sleep", "1000"];
    const child = Bun.spawn(command, { stdio: ["ignore", "ignore", "ignore"] });
    this.#leaders.push(child);
    await waitFor(async () => {
      const comm = await Bun.file(`/proc/${child.pid}/comm`).text();
      if (comm.trim() !== "sleep") throw new Error("not there yet");
    }, "the leader");
    return child.pid;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.kill();
    for (const leader of this.#leaders) {
      leader.kill("SIGKILL");
      await leader.exited;
    }
    rmSync(this.runtime, { recursive: true, force: true });
    rmSync(this.#logFile, { force: true });
  }
}

const MANAGER = {
  destination: "org.freedesktop.machine1",
  path: "/org/freedesktop/machine1",
  interface: "org.freedesktop.machine1.Manager",
};

/** Calls a method of the manager; returns the values of the reply, throws BusError. */
export function manager(bus: BusClient, member: string, signature = "", ...body: unknown[]): Promise<unknown[]> {
  return bus.call({ ...MANAGER, member, signature, body });
}

/** The same of the object at `path`. */
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

export function getProperty(bus: BusClient, path: string, iface: string, name: string): Promise<unknown> {
  const call = object(bus, path, "org.freedesktop.DBus.Properties", "Get", "ss", iface, name);
  return call.then(([variant]) => (variant as { value: unknown }).value);
}

/** "Name: text" of the error a call ends with; throws when it does not fail. */
export async function errorOf(call: Promise<unknown>): Promise<string> {
  try {
    await call;
  } catch (error) {
    const { errorName, message } = error as { errorName?: string; message: string };
    return `${errorName?.replace("org.freedesktop.DBus.Error.", "")}: ${message}`;
  }
  throw new Error("the call succeeded");
}

/** Registers a container around a leader; with `create`, in a scope of its own. */
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
