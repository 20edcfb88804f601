// A daemon's connection to its bus, which is made again after it was lost. Meanwhile the private bus and Varlink
// continue to work.
import type { Log } from "../base/log.ts";
import { type BusClient, connectBus } from "../ipc/bus/client.ts";
import { type Broker, BusIntake } from "../ipc/bus/intake.ts";
import type { BusServer } from "../ipc/bus/server.ts";
import type { BusTarget } from "../ipc/bus/transport.ts";
import type { FairTurns } from "../ipc/fair-turns.ts";
import type { Outgoing } from "../ipc/message/message.ts";
import { BusSender } from "./bus-sender.ts";

const RETRY_MS = 1_000;
const RETRY_LIMIT_MS = 30_000;
/** Results of RequestName(): primary owner, already owner. */
const NAME_IS_OURS = new Set([1, 4]);
/**
 * How long a starting daemon waits for one that ends: a daemon that was just killed owns its name until the broker
 * notices, and one that was told to end may have to finish something.
 */
export const PREDECESSOR_MS = 5_000;
export const PREDECESSOR_POLL_MS = 50;
/** A flag of RequestName(): fail instead of waiting for the name. */
const DO_NOT_QUEUE = 4;

interface SystemBusEvents {
  /** Called when the daemon owns its name. Calls that arrive are kept and answered after it resolves. */
  connected(bus: BusClient): Promise<void>;
}

/** How long the end of the daemon waits for the broker to release its name. */
const RELEASE_MS = 1000;

/** Another process owns the name: another daemon serves this bus. */
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

  /** `name` is the well-known name to take; `turns` are shared by all of the daemon's servers. */
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
   * Connects, takes the name and serves. Throws NameTaken where another daemon owns it, and then does not retry. Throws
   * an error with errno or a BusError where the bus does not answer, and retries in the background.
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

  /** Resets the retries, and reconnects when this connection is lost, which may have happened already. */
  #keep(bus: BusClient): void {
    this.#timer = null;
    this.#retryMs = RETRY_MS;
    bus.onClose((error) => this.#lost(bus, error));
  }

  /** Makes one connection and prepares it for serving; closes it on failure. */
  async #attempt(): Promise<BusClient> {
    const bus = await connectBus(this.#target, "lent");
    const lost = Promise.withResolvers<never>();
    lost.promise.catch(() => {});
    bus.onClose((error) => lost.reject(error ?? new Error("the bus closed the connection")));
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

  /**
   * Takes the name first: a daemon that does not get it must not have changed anything. Calls that arrive before the
   * daemon is ready wait in the intake, whose limits hold for them, too.
   */
  async #introduce(bus: BusClient): Promise<void> {
    let isReady = false;
    const broker: Broker = {
      get takesMore() {
        return isReady && bus.takesMore;
      },
      send: (message) => bus.send(message),
      driver: (member, signature, body) => bus.driver(member, signature, body),
    };
    const intake = new BusIntake(this.#server, broker, this.#turns);
    bus.onCall((message) => intake.take(message, new BusSender(bus, message)));
    bus.onChange(() => intake.goOn());
    bus.onClose(() => intake.close());
    bus.onSkipped((reason) => this.#log.warning(`Skipped a message from the bus: ${reason}.`));
    await this.#takeName(bus);
    this.#bus = bus;
    await this.#events.connected(bus);
    isReady = true;
    intake.goOn();
  }

  /** Takes the name, which a daemon that ends may still own. */
  async #takeName(bus: BusClient): Promise<void> {
    for (const deadline = performance.now() + PREDECESSOR_MS; ; await Bun.sleep(PREDECESSOR_POLL_MS)) {
      const [result] = (await bus.driver("RequestName", "su", [this.#name, DO_NOT_QUEUE])) as [number];
      if (NAME_IS_OURS.has(result)) return;
      if (performance.now() > deadline) throw new NameTaken(this.#name);
    }
  }

  send(message: Omit<Outgoing, "serial">): void {
    this.#bus?.send(message);
  }

  /** Releases the name, so that the next call starts another daemon, and disconnects. */
  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    const bus = this.#bus;
    this.#bus = null;
    if (bus === null) return;
    // A broker that does not answer notices the end of the connection later.
    await Promise.race([bus.driver("ReleaseName", "s", [this.#name]).catch(() => {}), Bun.sleep(RELEASE_MS)]);
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
   * Plans the next attempt, one at a time: a lost connection plans the first, each failed attempt the next. A name that
   * is taken is retried as well: the broker may not have noticed yet that the old connection is closed.
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
