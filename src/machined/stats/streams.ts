// Calls that are answered repeatedly: their number, interval and end.
import { MachinedError } from "../../base/error.ts";
import { isPrivileged } from "../../ipc/caller.ts";
import type { VarlinkCall } from "../../ipc/varlink/binding.ts";

interface StreamLimits {
  readonly all: number;
  /** The maximum for one user. */
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
   * Calls `tell` at once and then at each interval, until the caller has disconnected or `tell` throws, whose error is the reply
   * then. A round is skipped while the last one has not been sent or has not ended. Throws TooManyOperations.
   */
  async run(
    call: Pick<VarlinkCall, "caller" | "onGone" | "takesMore">,
    intervalMs: number,
    tell: () => Promise<void>,
  ): Promise<never> {
    const caller = await call.caller();
    const { uid } = caller;
    const own = this.#users.get(uid) ?? 0;
    // The limit of all streams does not keep out privileged callers.
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
      // Not settled for a caller that has disconnected: nobody waits for a reply.
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
