// The silence of one service on one connection, while calls to it are pending: the steps that are taken as it lasts.
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { isBusFailure } from "./failure.ts";

/** The steps, in milliseconds of silence: ping the service, print that the client waits, let the calls fail. */
export interface PatienceLimits {
  readonly probeMs: number;
  readonly sayMs: number;
  readonly giveUpMs: number;
}

/** A call that waits for its reply. */
interface PendingCall {
  /** Whether the call has a time limit of its own, so that this one does not apply. */
  readonly isPatient: boolean;
  /** Pings the service; absent on connections where a ping would be answered only after the call. */
  readonly probe: (() => Promise<unknown>) | undefined;
  /** Lets the call fail. */
  readonly giveUp: (error: Error) => void;
}

interface SilenceHandlers {
  /** The service has been silent for sayMs. */
  name(): void;
  /** A call fails because the service has been silent for giveUpMs. */
  giveUp(): void;
}

const NO_REPLY = "org.freedesktop.DBus.Error.NoReply";

/** Times the silence of the service `whom`. */
export class Silence {
  readonly #whom: string;
  readonly #limits: PatienceLimits;
  readonly #handlers: SilenceHandlers;
  readonly #open = new Set<PendingCall>();
  /** The time of the last reply, on the clock of performance.now(). */
  #since = 0;
  /** When the timer should fire, on the same clock. */
  #due = 0;
  /** How many of the steps (ping, print, fail) have been taken since the last reply. */
  #steps = 0;
  #timer: ReturnType<typeof setTimeout> | null = null;

  constructor(whom: string, limits: PatienceLimits, handlers: SilenceHandlers) {
    this.#whom = whom;
    this.#limits = limits;
    this.#handlers = handlers;
  }

  /** Times a call. With the first one the silence begins. */
  add(call: PendingCall): void {
    this.#open.add(call);
    if (this.#open.size === 1) this.heard();
  }

  /** Ends the timing of a call. */
  remove(call: PendingCall): void {
    this.#open.delete(call);
    this.#arm();
  }

  /** Restarts the time, because the service answered. */
  heard(): void {
    this.#since = performance.now();
    this.#steps = 0;
    this.#arm();
  }

  /** Sets the timer to the next deadline, or stops it while no call is pending. */
  #arm(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#open.size === 0) return;
    const silence = performance.now() - this.#since;
    const { probeMs, sayMs, giveUpMs } = this.#limits;
    // The next step follows the number of steps taken, not the time that has passed, so that a delayed process skips
    // none.
    const next = [probeMs, sayMs, giveUpMs][this.#steps];
    if (next === undefined) return;
    this.#due = this.#since + next;
    this.#timer = setTimeout(() => this.#takeStep(), Math.max(next - silence, 0));
  }

  /**
   * Takes the next step. Time in which this process was stopped or the host was suspended is not counted as silence.
   */
  #takeStep(): void {
    this.#since += Math.max(performance.now() - this.#due, 0);
    const step = this.#steps++;
    if (step === 0) this.#probe();
    else if (step === 1) this.#handlers.name();
    else this.#giveUp();
    this.#arm();
  }

  #giveUp(): void {
    for (const { isPatient, giveUp } of this.#open) {
      if (isPatient) continue;
      this.#handlers.giveUp();
      giveUp(timedOut(this.#whom));
    }
  }

  /** Pings the service by the first pending call that can. An error reply, too, is an answer. */
  #probe(): void {
    for (const { probe } of this.#open) {
      if (probe === undefined) continue;
      const answered = () => this.heard();
      probe().then(answered, (error: unknown) => {
        if (!isTimeout(error)) answered();
      });
      return;
    }
  }
}

/** Returns the error of a call whose service did not answer in time. */
export function timedOut(whom: string): ErrnoError {
  return new ErrnoError("ETIMEDOUT", `No answer from ${whom} in time`);
}

/** Whether an error says that a service did not answer in time. */
export function isTimeout(error: unknown): boolean {
  return isBusFailure(error) ? error.errorName === NO_REPLY : errnoNameOf(error) === "ETIMEDOUT";
}
