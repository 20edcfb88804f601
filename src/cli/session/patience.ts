// How long a client waits for services that do not answer: after three seconds it says whom it waits for, and before
// 25 seconds (the limit of sd_bus_call(3)) it gives up, once for the whole verb. Every connection of a client is made
// through Session, which puts this around it.
//
// What is measured is silence. A call that takes long by its nature (a clone, a question to the user) is not given up as
// long as its service answers pings.
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import type { BusCall } from "../../ipc/bus/connection.ts";
import { isBusFailure } from "./failure.ts";
import type { Bus, Varlink } from "./ports.ts";

/** After how many milliseconds of silence something happens. */
interface PatienceLimits {
  readonly probeMs: number;
  readonly sayMs: number;
  readonly giveUpMs: number;
}

/** Less than the 25 s of a call of its own, so that what happens then happens here, and with the start of the program. */
const LIMITS: PatienceLimits = { probeMs: 2000, sayMs: 3000, giveUpMs: 23_000 };

const NO_REPLY = "org.freedesktop.DBus.Error.NoReply";

const SERVICES: Readonly<Record<string, string>> = {
  "org.freedesktop.machine1": "systemd-machined",
  "org.freedesktop.import1": "systemd-importd",
  "org.freedesktop.systemd1": "systemd",
};

const MESSAGE_BUS = "the message bus";

interface Question {
  readonly whom: string;
  /** Whether the call has a limit of its own. */
  readonly isPatient: boolean;
  /** Asks the same service something that it answers at once; absent where that is not possible. */
  readonly probe?: () => Promise<unknown>;
  readonly giveUp: (error: Error) => void;
}

interface AskOptions {
  readonly isPatient?: boolean;
  readonly probe?: () => Promise<unknown>;
}

export class Patience {
  readonly #say: (line: string) => void;
  readonly #limits: PatienceLimits;
  readonly #open = new Set<Question>();
  readonly #said = new Set<string>();
  #silentSince = 0;
  #due = 0;
  /** How many of the steps (probing, telling) have been taken since something was heard. */
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

  /** Waits for a reply of `whom`. Throws ETIMEDOUT when the time is over, and at once after an earlier timeout. */
  async ask<T>(whom: string, work: () => Promise<T>, { isPatient = false, probe }: AskOptions = {}): Promise<T> {
    if (this.#isOver) throw timedOut(whom);
    if (this.#open.size === 0) this.#heard();
    const { promise, reject } = Promise.withResolvers<never>();
    const question = { whom, isPatient, giveUp: reject, ...(probe === undefined ? {} : { probe }) };
    const startMs = performance.now();
    this.#open.add(question);
    this.#arm();
    try {
      const answer = await Promise.race([work(), promise]);
      this.#heard();
      return answer;
    } catch (error) {
      // The bus replies NoReply at once when the service dies; only a whole wait counts as a timeout.
      if (!isTimeout(error)) this.#heard();
      else if (performance.now() - startMs >= this.#limits.giveUpMs) this.#isOver = true;
      throw error;
    } finally {
      this.#open.delete(question);
      this.#arm();
    }
  }

  /** The same connection with every call watched. */
  bus(bus: Bus): Bus {
    return {
      call: (call) => this.ask(serviceOf(call), () => bus.call(call), { probe: () => bus.call(pingOf(call)) }),
      subscribe: (rule, handler) => this.ask(MESSAGE_BUS, () => bus.subscribe(rule, handler)),
      onClose: (handler) => bus.onClose(handler),
      close: () => bus.close(),
    };
  }

  /** Wraps a connection so that calls are timed. Varlink replies come in order, so no ping is possible. */
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

  /** A connection that is being made; what comes too late is closed. */
  async connect<T extends { close(): void }>(whom: string, open: () => Promise<T>): Promise<T> {
    const opening = open();
    try {
      return await this.ask(whom, () => opening);
    } catch (error) {
      void opening.then((late) => late.close()).catch(() => {});
      throw error;
    }
  }

  /** The first reply has to come in time; those behind it come when there is something to tell. */
  async *#firstInTime<T>(whom: string, replies: AsyncGenerator<T>): AsyncGenerator<T> {
    const first = await this.ask(whom, () => replies.next());
    if (first.done === true) return;
    yield first.value;
    yield* replies;
  }

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
    // Each step is taken, however late: a delayed process skips none.
    const next = [probeMs, sayMs, giveUpMs][this.#steps];
    if (next === undefined) return;
    this.#due = this.#silentSince + next;
    this.#timer = setTimeout(() => this.#goOn(), Math.max(next - silence, 0));
  }

  /** Time in which this process was stopped or the host was suspended does not count. */
  #goOn(): void {
    this.#silentSince += Math.max(performance.now() - this.#due, 0);
    const step = this.#steps++;
    if (step === 0) this.#probe();
    else if (step === 1) this.#tell();
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

  #tell(): void {
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
