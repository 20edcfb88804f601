// Calls that are answered again and again: how many there may be, how often, and when they end.
import { MachinedError } from "../../base/error.ts";
import { isPrivileged } from "../../ipc/caller.ts";
import type { VarlinkCall } from "../../ipc/varlink/binding.ts";

interface StreamLimits {
  readonly all: number;
  /** Of one user. */
  readonly each: number;
}

const LIMITS: StreamLimits = { all: 64, each: 8 };

export class Streams {
  readonly #limits: StreamLimits;
  readonly #users = new Map<number, number>();
  #count = 0;

  constructor(limits: StreamLimits = LIMITS) {
    this.#limits = limits;
  }

  get size(): number {
    return this.#count;
  }

  /**
   * Calls `tell` at once and then at each interval, until the caller has gone or `tell` throws, which is the answer then. A
   * round is left out while the last one has not been sent or is not over. Throws TooManyOperations.
   */
  async run(
    call: Pick<VarlinkCall, "caller" | "onGone" | "takesMore">,
    intervalMs: number,
    tell: () => Promise<void>,
  ): Promise<never> {
    const caller = await call.caller();
    const { uid } = caller;
    const own = this.#users.get(uid) ?? 0;
    // Others together keep nobody privileged out.
    const isFull = this.#count >= this.#limits.all && !isPrivileged(caller);
    if (own >= this.#limits.each || isFull) {
      throw new MachinedError("TooManyOperations", "Too many streams of statistics are open");
    }
    this.#users.set(uid, own + 1);
    this.#count++;
    const ended = Promise.withResolvers<never>();
    let isTelling = false;
    const round = async () => {
      if (isTelling || !call.takesMore) return;
      isTelling = true;
      await tell().catch(ended.reject);
      isTelling = false;
    };
    const timer = setInterval(round, intervalMs);
    let isOver = false;
    const leave = () => {
      if (isOver) return;
      isOver = true;
      clearInterval(timer);
      this.#leave(uid);
    };
    const stopListening = call.onGone(leave);
    void round();
    try {
      // Never settled for a caller that goes: nobody waits for an answer.
      return await ended.promise;
    } catch (error) {
      stopListening();
      leave();
      throw error;
    }
  }

  #leave(uid: number): void {
    const own = (this.#users.get(uid) ?? 1) - 1;
    if (own > 0) this.#users.set(uid, own);
    else this.#users.delete(uid);
    this.#count--;
  }
}
