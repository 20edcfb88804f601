// The time limit for services that do not answer. After 3 seconds the client prints which service it waits for; after
// 23 seconds, just before the 25 seconds of sd_bus_call(3), all pending calls to it fail with ETIMEDOUT. Later calls of
// the same verb then fail at once, whichever service they are for. Session wraps the connections that it makes in this.
//
// The limit is on the silence of a service on a connection, not on the duration of a call: any reply of that service,
// also one to a ping, restarts its time. So a call that takes long (a clone, a question to the user) does not time out
// while its service answers pings, and no other service's answers keep a silent one from being given up.
import { SYSTEMD1_NAME } from "../../base/vocabulary/bus-peers.ts";
import type { BusCall } from "../../ipc/bus/connection.ts";
import type { Bus, Varlink } from "./ports.ts";
import { isTimeout, type PatienceLimits, Silence, timedOut } from "./silence.ts";

/**
 * giveUpMs is below the 25 s limit that each call has itself, so that this limit, which covers all calls, comes first.
 */
const LIMITS: PatienceLimits = { probeMs: 2000, sayMs: 3000, giveUpMs: 23_000 };

const SERVICES: Readonly<Record<string, string>> = {
  "org.freedesktop.machine1": "systemd-machined",
  "org.freedesktop.import1": "systemd-importd",
  [SYSTEMD1_NAME]: "systemd",
};

const MESSAGE_BUS = "the message bus";

/** Asks a service for any answer. */
type Probe = () => Promise<unknown>;

interface AskOptions {
  /** The connection that the service is asked over; calls over different connections are timed apart. */
  readonly over?: object;
  /** Whether the call has a time limit of its own, so that this one does not apply. */
  readonly isPatient?: boolean;
  /** Pings the service; absent on connections where a ping would be answered only after the call. */
  readonly probe?: Probe | undefined;
}

/** Watches the calls of one run of a client. `say` prints the line that names a slow service. */
export class Patience {
  readonly #say: (line: string) => void;
  readonly #limits: PatienceLimits;
  /** By connection and name of the service. */
  readonly #silences = new WeakMap<object, Map<string, Silence>>();
  /** The services that have been named as slow. */
  readonly #said = new Set<string>();
  #isOver = false;

  constructor(say: (line: string) => void, limits: PatienceLimits = LIMITS) {
    this.#say = say;
    this.#limits = limits;
  }

  /** Whether a wait for a service has timed out. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Runs `work`, which waits for a reply of the service `whom`. Throws ETIMEDOUT after giveUpMs of silence, and at once
   * if a call has timed out before.
   */
  async ask<T>(whom: string, work: () => Promise<T>, options: AskOptions = {}): Promise<T> {
    if (this.#isOver) throw timedOut(whom);
    const { over, isPatient = false, probe } = options;
    const silence = this.#silenceOf(whom, over ?? this);
    const { promise, reject } = Promise.withResolvers<never>();
    const startMs = performance.now();
    const pending = { isPatient, giveUp: reject, probe };
    silence.add(pending);
    try {
      const answer = await Promise.race([work(), promise]);
      silence.heard();
      return answer;
    } catch (error) {
      // The bus broker sends NoReply at once if the service dies: it is a timeout only after the whole time.
      if (!isTimeout(error)) silence.heard();
      else if (performance.now() - startMs >= this.#limits.giveUpMs) this.#isOver = true;
      throw error;
    } finally {
      silence.remove(pending);
    }
  }

  /** Wraps a connection to a bus so that its calls are timed. */
  bus(bus: Bus): Bus {
    return {
      call: (call) => {
        const probe = () => bus.call(pingOf(call));
        return this.ask(serviceOf(call), () => bus.call(call), { over: bus, probe });
      },
      subscribe: (rule, handler) => this.ask(MESSAGE_BUS, () => bus.subscribe(rule, handler), { over: bus }),
      onClose: (handler) => bus.onClose(handler),
      close: () => bus.close(),
    };
  }

  /**
   * Wraps a Varlink connection so that its calls are timed. Replies come in the order of calls, so that a ping over the
   * same connection is not possible: a `probe` that uses another connection lets calls take long, as those over D-Bus.
   */
  varlink(varlink: Varlink, whom: string, probe?: Probe): Varlink {
    const options = { over: varlink, probe };
    return {
      call: (method, parameters, callOptions) => {
        const isPatient = callOptions?.timeoutMs !== undefined;
        return this.ask(whom, () => varlink.call(method, parameters, callOptions), { ...options, isPatient });
      },
      callAll: (method, parameters, callOptions) =>
        this.ask(whom, () => varlink.callAll(method, parameters, callOptions), options),
      callMore: (method, parameters, descriptors) =>
        this.#firstInTime(whom, varlink.callMore(method, parameters, descriptors), options),
      get descriptors() {
        return varlink.descriptors;
      },
      set descriptors(descriptors) {
        varlink.descriptors = descriptors;
      },
      close: () => varlink.close(),
    };
  }

  /** Runs `open`, which connects to `whom`. After a timeout, a connection that is made later is closed. */
  async connect<T extends { close(): void }>(whom: string, open: () => Promise<T>): Promise<T> {
    const opening = open();
    try {
      return await this.ask(whom, () => opening);
    } catch (error) {
      void opening.then((late) => late.close()).catch(() => {});
      throw error;
    }
  }

  /** Times the first reply only: a service sends the further replies of a subscription when there is an event. */
  async *#firstInTime<T>(whom: string, replies: AsyncGenerator<T>, options: AskOptions): AsyncGenerator<T> {
    const first = await this.ask(whom, () => replies.next(), options);
    if (first.done === true) return;
    yield first.value;
    yield* replies;
  }

  #silenceOf(whom: string, over: object): Silence {
    const silences = this.#silences.get(over) ?? new Map<string, Silence>();
    const known = silences.get(whom);
    if (known !== undefined) return known;
    const silence = new Silence(whom, this.#limits, {
      name: () => this.#name(whom),
      giveUp: () => {
        this.#isOver = true;
      },
    });
    this.#silences.set(over, silences.set(whom, silence));
    return silence;
  }

  /** Prints that the client waits for a service, once. */
  #name(whom: string): void {
    if (this.#said.has(whom)) return;
    this.#said.add(whom);
    this.#say(`Waiting for ${whom} …`);
  }
}

function serviceOf({ destination = "" }: BusCall): string {
  return SERVICES[destination] ?? (destination === "" ? MESSAGE_BUS : destination);
}

function pingOf({ destination }: BusCall): BusCall {
  const ping = { path: "/", interface: "org.freedesktop.DBus.Peer", member: "Ping" };
  return destination === undefined ? ping : { ...ping, destination };
}
