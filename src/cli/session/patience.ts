// The time limit for services that do not answer. After 3 seconds the client prints which service it waits for; after
// 23 seconds, just before the 25 seconds of sd_bus_call(3), all pending calls fail with ETIMEDOUT. Later calls of the
// same verb then fail at once. Session wraps the connections that it makes in this.
//
// The limit is on silence, not on the duration of a call: any reply, also one to a ping, restarts the time. So a call
// that takes long (a clone, a question to the user) does not time out while its service answers pings.
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import type { BusCall } from "../../ipc/bus/connection.ts";
import { isBusFailure } from "./failure.ts";
import type { Bus, Varlink } from "./ports.ts";

/** The steps, in milliseconds of silence: ping the service, print that the client waits, let the calls fail. */
interface PatienceLimits {
  readonly probeMs: number;
  readonly sayMs: number;
  readonly giveUpMs: number;
}

/**
 * giveUpMs is below the 25 s limit that each call has itself, so that this limit, which covers all calls, comes first.
 */
const LIMITS: PatienceLimits = { probeMs: 2000, sayMs: 3000, giveUpMs: 23_000 };

const NO_REPLY = "org.freedesktop.DBus.Error.NoReply";

const SERVICES: Readonly<Record<string, string>> = {
  "org.freedesktop.machine1": "systemd-machined",
  "org.freedesktop.import1": "systemd-importd",
  "org.freedesktop.systemd1": "systemd",
};

const MESSAGE_BUS = "the message bus";

/** A call that waits for its reply. */
interface PendingCall {
  /** The name of the service in messages. */
  readonly whom: string;
  /** Whether the call has a time limit of its own, so that this one does not apply. */
  readonly isPatient: boolean;
  /** Pings the service; absent on connections where a ping would be answered only after the call. */
  readonly probe?: () => Promise<unknown>;
  /** Lets the call fail. */
  readonly giveUp: (error: Error) => void;
}

interface AskOptions {
  readonly isPatient?: boolean;
  readonly probe?: () => Promise<unknown>;
}

/** Watches the calls of one run of a client. `say` prints the line that names a slow service. */
export class Patience {
  readonly #say: (line: string) => void;
  readonly #limits: PatienceLimits;
  readonly #open = new Set<PendingCall>();
  /** The services that have been named as slow. */
  readonly #said = new Set<string>();
  /** The time of the last reply, on the clock of performance.now(). */
  #silentSince = 0;
  /** When the timer should fire, on the same clock. */
  #due = 0;
  /** How many of the steps (ping, print, fail) have been taken since the last reply. */
  #steps = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;
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
  async ask<T>(whom: string, work: () => Promise<T>, { isPatient = false, probe }: AskOptions = {}): Promise<T> {
    if (this.#isOver) throw timedOut(whom);
    if (this.#open.size === 0) this.#heard();
    const { promise, reject } = Promise.withResolvers<never>();
    const pending = { whom, isPatient, giveUp: reject, ...(probe === undefined ? {} : { probe }) };
    const startMs = performance.now();
    this.#open.add(pending);
    this.#arm();
    try {
      const answer = await Promise.race([work(), promise]);
      this.#heard();
      return answer;
    } catch (error) {
      // The bus broker sends NoReply at once if the service dies: it is a timeout only after the whole time.
      if (!isTimeout(error)) this.#heard();
      else if (performance.now() - startMs >= this.#limits.giveUpMs) this.#isOver = true;
      throw error;
    } finally {
      this.#open.delete(pending);
      this.#arm();
    }
  }

  /** Wraps a connection to a bus so that its calls are timed. */
  bus(bus: Bus): Bus {
    return {
      call: (call) => this.ask(serviceOf(call), () => bus.call(call), { probe: () => bus.call(pingOf(call)) }),
      subscribe: (rule, handler) => this.ask(MESSAGE_BUS, () => bus.subscribe(rule, handler)),
      onClose: (handler) => bus.onClose(handler),
      close: () => bus.close(),
    };
  }

  /**
   * Wraps a Varlink connection so that its calls are timed. Replies come in the order of calls, so no ping is possible.
   */
  varlink(varlink: Varlink, whom: string): Varlink {
    return {
      call: (method, parameters, options) => {
        const isPatient = options?.timeoutMs !== undefined;
        return this.ask(whom, () => varlink.call(method, parameters, options), { isPatient });
      },
      callAll: (method, parameters, options) => this.ask(whom, () => varlink.callAll(method, parameters, options)),
      callMore: (method, parameters, descriptors) =>
        this.#firstInTime(whom, varlink.callMore(method, parameters, descriptors)),
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
  async *#firstInTime<T>(whom: string, replies: AsyncGenerator<T>): AsyncGenerator<T> {
    const first = await this.ask(whom, () => replies.next());
    if (first.done === true) return;
    yield first.value;
    yield* replies;
  }

  /** Restarts the time. */
  #heard(): void {
    this.#silentSince = performance.now();
    this.#steps = 0;
  }

  /** Sets the timer to the next deadline, or stops it while no call is pending. */
  #arm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#open.size === 0) return;
    const silence = performance.now() - this.#silentSince;
    const { probeMs, sayMs, giveUpMs } = this.#limits;
    // The next step follows the number of steps taken, not the time that has passed, so that a delayed process skips
    // none.
    const next = [probeMs, sayMs, giveUpMs][this.#steps];
    if (next === undefined) return;
    this.#due = this.#silentSince + next;
    this.#timer = setTimeout(() => this.#takeStep(), Math.max(next - silence, 0));
  }

  /**
   * Takes the next step. Time in which this process was stopped or the host was suspended is not counted as silence.
   */
  #takeStep(): void {
    this.#silentSince += Math.max(performance.now() - this.#due, 0);
    const step = this.#steps++;
    if (step === 0) this.#probe();
    else if (step === 1) this.#nameServices();
    else this.#giveUp();
    this.#arm();
  }

  #giveUp(): void {
    for (const { whom, isPatient, giveUp } of this.#open) {
      if (isPatient) continue;
      this.#isOver = true;
      giveUp(timedOut(whom));
    }
  }

  /** Pings the service of one pending call. An error reply, too, is an answer. */
  #probe(): void {
    for (const { probe } of this.#open) {
      const answered = () => {
        this.#heard();
        this.#arm();
      };
      probe?.().then(answered, (error: unknown) => {
        if (!isTimeout(error)) answered();
      });
      if (probe !== undefined) return;
    }
  }

  #nameServices(): void {
    for (const { whom } of this.#open) {
      if (this.#said.has(whom)) continue;
      this.#said.add(whom);
      this.#say(`Waiting for ${whom} …`);
    }
  }
}

function serviceOf({ destination = "" }: BusCall): string {
  return SERVICES[destination] ?? (destination === "" ? MESSAGE_BUS : destination);
}

function pingOf({ destination }: BusCall): BusCall {
  const ping = { path: "/", interface: "org.freedesktop.DBus.Peer", member: "Ping" };
  return destination === undefined ? ping : { ...ping, destination };
}

function timedOut(whom: string): ErrnoError {
  return new ErrnoError("ETIMEDOUT", `No answer from ${whom} in time`);
}

function isTimeout(error: unknown): boolean {
  return isBusFailure(error) ? error.errorName === NO_REPLY : errnoNameOf(error) === "ETIMEDOUT";
}
