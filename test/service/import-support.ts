// A private systemd-importd for a test: from source, in a private runtime directory, with simulated workers by default.
// Everything it starts is ended by `using`.
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { type BusClient, connectBus } from "../../src/ipc/bus/client.ts";
import type { VarlinkClient } from "../../src/ipc/varlink/client.ts";
import { connectVarlink } from "../../src/ipc/varlink/connect.ts";
import { waitFor } from "../lib/wait-for.ts";

const MAIN = join(import.meta.dir, "../../src/main.ts");
const WORKER = join(import.meta.dir, "import-worker.sh");

const PLAYED = {
  SYSTEMD_PULL_PATH: WORKER,
  SYSTEMD_IMPORT_PATH: WORKER,
  SYSTEMD_IMPORT_FS_PATH: WORKER,
  SYSTEMD_EXPORT_PATH: WORKER,
};

interface TransferEvent {
  readonly member: string;
  readonly path: string;
  readonly body: unknown[];
}

export class TestImportd implements AsyncDisposable {
  readonly runtime = mkdtempSync(join(tmpdir(), "importd-test-"));
  readonly images = join(this.runtime, "images");
  readonly #env: Record<string, string>;
  readonly #args: readonly string[];
  #process: Subprocess<"ignore", "ignore", "pipe"> | null = null;
  #log = "";
  #logRead: Promise<void> = Promise.resolve();
  readonly #clients: { close(): void }[] = [];
  /** A connection that is open while the daemon runs, so that it does not exit when idle before the test connects. */
  #first: BusClient | null = null;

  private constructor(env: Record<string, string>, args: readonly string[]) {
    this.#env = env;
    this.#args = args;
    mkdirSync(join(this.images, "var/lib/machines"), { recursive: true });
  }

  static async start(env: Record<string, string> = {}, args: readonly string[] = []): Promise<TestImportd> {
    const daemon = new TestImportd(env, args);
    await daemon.run();
    return daemon;
  }

  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** The whole log of a daemon that has ended. For a running one, use `logged()`. */
  get log(): string {
    if (this.#process !== null) throw new Error("The daemon runs: more may come than is here");
    return this.#log;
  }

  /** Waits until the daemon has written a text to its log at least a number of times. */
  async logged(text: string, times = 1): Promise<void> {
    await waitFor(() => {
      if (this.#log.split(text).length <= times) throw new Error(`the log is\n${this.#log}`);
    }, `'${text}' in the daemon's log`);
  }

  get exited(): Promise<number> {
    return this.#process?.exited ?? Promise.resolve(0);
  }

  /** Awaits a promise; rejects with the daemon's log where the daemon ends before it. */
  async whileRunning<Value>(promise: Promise<Value>): Promise<Value> {
    const ended = this.exited.then(async (code) => {
      await this.#logRead;
      throw new Error(`systemd-importd has exited with ${code}:\n${this.#log}`);
    });
    return await Promise.race([promise, ended]);
  }

  /** Starts the daemon (again) in the same directory. One that exits when idle may exit before it is connected to. */
  async run(): Promise<void> {
    const exitsWhenIdle = this.#env["MACHINED_IDLE_MS"] !== undefined;
    const first = await waitFor(async () => {
      if (this.#process === null || (exitsWhenIdle && this.#process.exitCode === 0)) this.#spawn();
      return await this.#open();
    }, "the daemon's private socket");
    if (exitsWhenIdle) this.#first = this.keep(first);
    else first.close();
  }

  #spawn(): void {
    const env = { ...PLAYED, MACHINED_IMAGE_ROOT: this.images, ...this.#env, MACHINED_RUNTIME_DIRECTORY: this.runtime };
    this.#process = Bun.spawn([process.execPath, MAIN, "systemd-importd", ...this.#args], {
      env: { PATH: process.env["PATH"] ?? "", ...env },
      stdio: ["ignore", "ignore", "pipe"],
    });
    this.#logRead = this.#read(this.#process.stderr);
  }

  async #read(stream: ReadableStream<Uint8Array>): Promise<void> {
    for await (const part of stream) this.#log += Buffer.from(part).toString();
  }

  #open(): Promise<BusClient> {
    return connectBus({ kind: "private", path: join(this.runtime, "import/private") });
  }

  async bus(): Promise<BusClient> {
    const bus = this.keep(await this.#open());
    this.#first?.close();
    this.#first = null;
    return bus;
  }

  async varlink(): Promise<VarlinkClient> {
    return this.keep(await connectVarlink(join(this.runtime, "io.systemd.Import")));
  }

  /** Registers an object that is closed with the daemon. */
  keep<T extends { close(): void }>(client: T): T {
    this.#clients.push(client);
    return client;
  }

  /** Ends the daemon with a signal and waits until it is gone. */
  async kill(signal: NodeJS.Signals = "SIGTERM"): Promise<number> {
    this.#process?.kill(signal);
    const code = await this.exited;
    await this.#logRead;
    this.#process = null;
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const client of this.#clients) client.close();
    await this.kill();
    rmSync(this.runtime, { recursive: true, force: true });
  }
}

const MANAGER = {
  destination: "org.freedesktop.import1",
  path: "/org/freedesktop/import1",
  interface: "org.freedesktop.import1.Manager",
};
export const TRANSFER = "org.freedesktop.import1.Transfer";

/** Calls a method of the manager; returns the values of the reply, throws BusError. */
export function manager(bus: BusClient, member: string, signature = "", ...body: unknown[]): Promise<unknown[]> {
  return bus.call({ ...MANAGER, member, signature, body });
}

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

/** Starts a download; returns its id. */
export async function pull(bus: BusClient, what: string, local = "", type = "Tar"): Promise<number> {
  const [id] = await manager(bus, `Pull${type}`, "sssb", `http://played/${what}`, local, "no", false);
  return id as number;
}

/** Collects all signals from now on, in order. */
export class Announcements {
  readonly events: TransferEvent[] = [];

  static async of(bus: BusClient): Promise<Announcements> {
    const announcements = new Announcements();
    await bus.subscribe({ pathNamespace: "/org/freedesktop/import1" }, (body, { path, member }) => {
      announcements.events.push({ member, path, body });
    });
    return announcements;
  }

  of(id: number, member: string): unknown[][] {
    const own = `/org/freedesktop/import1/transfer/_${id}`;
    const isOwn = ({ path, body }: TransferEvent) => path === own || body[0] === id;
    return this.events.filter((event) => event.member === member && isOwn(event)).map(({ body }) => body);
  }

  /** The lines of a transfer, as [priority, text]. */
  lines(id: number): [number, string][] {
    return this.of(id, "LogMessage") as [number, string][];
  }

  /** Waits for the next line of a transfer; returns it. */
  line(id: number, text: string | RegExp): Promise<[number, string]> {
    return waitFor(() => {
      const found = this.lines(id).find(([, line]) => (typeof text === "string" ? line === text : text.test(line)));
      if (found === undefined) throw new Error(`there is ${JSON.stringify(this.lines(id))}`);
      return found;
    }, `'${text}' in the log of transfer ${id}`);
  }

  /** Waits until a transfer is over; returns its result. */
  result(id: number): Promise<string> {
    return waitFor(() => {
      const [removed] = this.of(id, "TransferRemoved");
      if (removed === undefined) throw new Error("not over");
      return removed[2] as string;
    }, `the end of transfer ${id}`);
  }
}
