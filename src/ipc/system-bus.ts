// A daemon on its bus: connected whenever there is a bus, again after it was lost. What needs no bus (the
// private socket, Varlink) goes on meanwhile.
import type { Log } from "../base/log.ts";
import { type BusClient, connectBus } from "./bus-client.ts";
import { BusError } from "./bus-error.ts";
import { BusIntake } from "./bus-intake.ts";
import type { Outgoing } from "./bus-message.ts";
import type { BusServer, Origin } from "./bus-server.ts";
import type { Incoming } from "./bus-stream.ts";
import type { BusTarget } from "./bus-transport.ts";
import { type Caller, callerOnBus } from "./caller.ts";
import type { FairTurns } from "./fair-turns.ts";
import { GoneHandlers } from "./gone-handlers.ts";

const RETRY_MS = 1_000;
const RETRY_LIMIT_MS = 30_000;
const NAME_IS_OURS = new Set([1, 4]);

export interface SystemBusEvents {
  /** Connected: before the name is asked for, so that no caller comes too early. */
  connected(bus: BusClient): Promise<void>;
  /** The name is taken: by another daemon. There is no use in going on. */
  nameTaken(): void;
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

  /** Connects, listens, takes the name. Throws when there is no bus now. */
  async connect(): Promise<void> {
    const bus = await connectBus(this.#target, "lent");
    this.#bus = bus;
    const intake = new BusIntake(this.#server, bus, this.#turns);
    bus.onCall((message) => intake.take(message, new Sender(bus, message)));
    bus.onChange(() => intake.goOn());
    bus.onClose((error) => {
      intake.close();
      this.#lost(bus, error);
    });
    await this.#events.connected(bus);
    const [result] = (await bus.driver("RequestName", "su", [this.#name, DO_NOT_QUEUE])) as [number];
    if (!NAME_IS_OURS.has(result)) this.#events.nameTaken();
    this.#retryMs = RETRY_MS;
  }

  send(message: Omit<Outgoing, "serial">): void {
    this.#bus?.send(message);
  }

  /** Gives the name back, so that the next call starts another daemon, and hangs up. */
  async close(): Promise<void> {
    this.#closed = true;
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

  #retry(): void {
    const wait = this.#retryMs;
    this.#retryMs = Math.min(this.#retryMs * 2, RETRY_LIMIT_MS);
    setTimeout(() => {
      if (this.#closed || this.#bus !== null) return;
      this.connect().catch((error) => {
        this.#log.debug(`No system bus: ${error.message}`);
        this.#retry();
      });
    }, wait).unref();
  }
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
