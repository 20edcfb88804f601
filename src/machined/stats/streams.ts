// Calls that are answered again and again: how many there may be, how often, and when they end.
import { MachinedError } from "../../base/error.ts";
import { mayTakeAnother, type ShareLimits } from "../../base/fair-share.ts";
import { isPrivileged } from "../../ipc/caller.ts";
import type { VarlinkCall } from "../../ipc/varlink/binding.ts";
import { shareOwner } from "../../kernel/process/share-owner.ts";

const LIMITS: ShareLimits = { all: 64, each: 8 };

export class Streams {
  readonly #limits: ShareLimits;
  /** By the owner of the share. */
  readonly #users = new Map<number, number>();
  #count = 0;

  constructor(limits: ShareLimits = LIMITS) {
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
    const owner = shareOwner(caller.uid);
    const own = this.#users.get(owner) ?? 0;
    // Others together keep nobody privileged out.
    const hasRoom = isPrivileged(caller) ? own < this.#limits.each : mayTakeAnother(own, this.#count, this.#limits);
    if (!hasRoom) {
      throw new MachinedError("TooManyOperations", "Too many streams of statistics are open");
    }
    this.#users.set(owner, own + 1);
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
      this.#leave(owner);
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

  #leave(owner: number): void {
    const own = (this.#users.get(owner) ?? 1) - 1;
    if (own > 0) this.#users.set(owner, own);
    else this.#users.delete(owner);
    this.#count--;
  }
}
