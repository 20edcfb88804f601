// A daemon on its bus: connected whenever there is a bus, again after it was lost, with one connection at a time. What
// needs no bus (the private socket, Varlink) goes on meanwhile.
import type { Log } from "../base/log.ts";
import { type BusClient, connectBus } from "../ipc/bus/client.ts";
import { BusError } from "../ipc/bus/error.ts";
import { BusIntake } from "../ipc/bus/intake.ts";
import { FLAG_NO_REPLY, MESSAGE_TYPE, type Outgoing } from "../ipc/bus/message.ts";
import type { BusServer, Origin } from "../ipc/bus/server.ts";
import type { Incoming } from "../ipc/bus/stream.ts";
import type { BusTarget } from "../ipc/bus/transport.ts";
import { type Caller, callerOnBus } from "../ipc/caller.ts";
import type { FairTurns } from "../ipc/fair-turns.ts";
import { GoneHandlers } from "../ipc/gone-handlers.ts";

const RETRY_MS = 1_000;
const RETRY_LIMIT_MS = 30_000;
const NAME_IS_OURS = new Set([1, 4]);
const NAME_PATIENCE_MS = 2_000;
const NAME_POLL_MS = 50;
/** Calls that came before the daemon was ready to answer; what comes beyond them is refused. */
const EARLY_CALLS_MAX = 1024;

export interface SystemBusEvents {
  /** The name is ours. Calls that have come since then are answered when this is done. */
  connected(bus: BusClient): Promise<void>;
}

/** The name belongs to somebody else: another daemon serves this bus. */
export class NameTaken extends Error {
  override readonly name = "NameTaken";

  constructor(name: string) {
    super(`Another daemon owns the name ${name} on the bus already.`);
  }
}

export class SystemBus {
  readonly #server: BusServer;
  readonly #log: Log;
  readonly #events: SystemBusEvents;
  readonly #name: string;
  readonly #target: BusTarget;
  readonly #turns: FairTurns;
  #bus: BusClient | null = null;
  #retryMs = RETRY_MS;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #closed = false;

  /** `name` is the well-known name to take; `turns` are those of all the daemon's callers. */
  constructor(name: string, target: BusTarget, server: BusServer, turns: FairTurns, log: Log, events: SystemBusEvents) {
    this.#name = name;
    this.#target = target;
    this.#server = server;
    this.#turns = turns;
    this.#log = log;
    this.#events = events;
  }

  /** The connection, or null while there is none. */
  get client(): BusClient | null {
    return this.#bus;
  }

  /**
   * Connects, takes the name, listens. Throws NameTaken where another daemon has it, else an error with errno or BusError
   * where there is no bus now: then it goes on trying.
   */
  async connect(): Promise<void> {
    try {
      this.#keep(await this.#attempt());
    } catch (error) {
      if (error instanceof NameTaken) this.#closed = true;
      else this.#retry();
      throw error;
    }
  }

  /** Serves on this connection until it is lost, which may have happened by now. */
  #keep(bus: BusClient): void {
    this.#timer = null;
    this.#retryMs = RETRY_MS;
    bus.onClose((error) => this.#lost(bus, error));
  }

  /** One connection from its beginning to the moment when it serves. Whatever fails in between ends it. */
  async #attempt(): Promise<BusClient> {
    const bus = await connectBus(this.#target, "lent");
    const lost = Promise.withResolvers<never>();
    lost.promise.catch(() => {});
    bus.onClose((error) => lost.reject(error ?? new Error("the bus hung up")));
    try {
      await Promise.race([this.#introduce(bus), lost.promise]);
      if (this.#closed) throw new Error("The daemon ends");
      return bus;
    } catch (error) {
      if (this.#bus === bus) this.#bus = null;
      bus.close();
      throw error;
    }
  }

  /** The name comes first: a daemon that does not get it must not have touched anything. */
  async #introduce(bus: BusClient): Promise<void> {
    const early = new EarlyCalls(bus);
    bus.onTooLong((bytes) => this.#log.warning(`Passed over a message of ${bytes} bytes: its header is too long.`));
    await this.#takeName(bus);
    this.#bus = bus;
    await this.#events.connected(bus);
    const intake = new BusIntake(this.#server, bus, this.#turns);
    const take = (message: Incoming) => intake.take(message, new Sender(bus, message));
    bus.onCall(take);
    bus.onChange(() => intake.goOn());
    bus.onClose(() => intake.close());
    for (const message of early.take()) take(message);
  }

  /** A daemon that was killed just now may still have the name: the broker gets to know of that in its own time. */
  async #takeName(bus: BusClient): Promise<void> {
    for (const deadline = performance.now() + NAME_PATIENCE_MS; ; await Bun.sleep(NAME_POLL_MS)) {
      const [result] = (await bus.driver("RequestName", "su", [this.#name, DO_NOT_QUEUE])) as [number];
      if (NAME_IS_OURS.has(result)) return;
      if (performance.now() > deadline) throw new NameTaken(this.#name);
    }
  }

  send(message: Omit<Outgoing, "serial">): void {
    this.#bus?.send(message);
  }

  /** Gives the name back, so that the next call starts another daemon, and hangs up. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const bus = this.#bus;
    this.#bus = null;
    if (bus === null) return;
    await bus.driver("ReleaseName", "s", [this.#name]).catch(() => {});
    bus.close();
  }

  #lost(bus: BusClient, error?: Error): void {
    if (this.#bus !== bus) return;
    this.#bus = null;
    if (this.#closed) return;
    this.#log.warning(`Lost the system bus${error === undefined ? "" : `: ${error.message}`}; trying again.`);
    this.#retry();
  }

  /**
   * Tries again later, with one attempt at a time: each failed attempt plans the next, a connection that is lost the
   * first. A name that is taken then is tried for as well: the broker may not have noticed yet that we had hung up.
   */
  #retry(): void {
    if (this.#closed || this.#timer !== null) return;
    const wait = this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_LIMIT_MS);
    this.#timer = setTimeout(async () => {
      try {
        this.#keep(await this.#attempt());
      } catch (error) {
        this.#timer = null;
        if (error instanceof NameTaken) this.#log.warning(`${error.message} Trying again.`);
        else this.#log.debug(`No system bus: ${(error as Error).message}`);
        this.#retry();
      }
    }, wait);
    this.#timer.unref();
  }
}

/** Calls that arrive while the daemon is getting ready. What nobody takes is closed with the connection. */
class EarlyCalls {
  readonly #bus: BusClient;
  #calls: Incoming[] = [];

  constructor(bus: BusClient) {
    this.#bus = bus;
    bus.onCall((message) => {
      if (this.#calls.length < EARLY_CALLS_MAX) this.#calls.push(message);
      else this.#refuse(message);
    });
    bus.onClose(() => {
      for (const message of this.take()) closeAll(message);
    });
  }

  /** The calls, which belong to the caller now. */
  take(): Incoming[] {
    const calls = this.#calls;
    this.#calls = [];
    return calls;
  }

  #refuse(message: Incoming): void {
    closeAll(message);
    if ((message.flags & FLAG_NO_REPLY) !== 0) return;
    this.#bus.send({
      type: MESSAGE_TYPE.error,
      replySerial: message.serial,
      destination: message.sender,
      errorName: "org.freedesktop.DBus.Error.LimitsExceeded",
      signature: "s",
      body: ["Too many calls before the service is ready"],
    });
  }
}

function closeAll({ descriptors }: Incoming): void {
  for (const fd of descriptors) fd.close();
}

/** The sender of a message on the bus. */
class Sender implements Origin {
  readonly #bus: BusClient;
  readonly #name: string;

  constructor(bus: BusClient, message: Incoming) {
    this.#bus = bus;
    this.#name = message.sender ?? "";
  }

  caller(): Promise<Caller> {
    return callerOnBus(this.#bus, this.#name);
  }

  onGone(handler: () => void): () => void {
    return watchName(this.#bus, this.#name, handler);
  }

  send(reply: Omit<Outgoing, "serial">): void {
    this.#bus.send(reply);
  }
}

const DO_NOT_QUEUE = 4;

/**
 * Calls back when a unique name leaves the bus, or has left it already; the bus may leave us, too. Gives a function that
 * ends this. One match rule serves all names: a broker lets a connection have 512.
 */
function watchName(bus: BusClient, name: string, handler: () => void): () => void {
  const driver = "org.freedesktop.DBus";
  const rule = { sender: driver, interface: driver, member: "NameOwnerChanged" };
  const gone = new GoneHandlers();
  const forget = gone.add(handler);
  const subscription = bus.subscribe(rule, ([changed, , owner]) => {
    if (changed === name && owner === "") gone.call();
  });
  const lost = () => gone.call();
  bus.onClose(lost);
  subscription
    .then(() => bus.driver("NameHasOwner", "s", [name]))
    .then(([isThere]) => {
      if (isThere === false) gone.call();
    })
    .catch((error: unknown) => {
      if (!(error instanceof BusError)) throw error;
    });
  return () => {
    forget();
    bus.offClose(lost);
    subscription.then((end) => end()).catch(() => {});
  };
}
