// Calls that are answered repeatedly: their number, interval and end.
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
   * Calls `tell` at once and then at each interval, until the caller has disconnected or `tell` throws: that error is
   * then the reply. A round is skipped while the last one has not ended or was not sent. Throws TooManyOperations.
   */
  async run(
    call: Pick<VarlinkCall, "caller" | "onGone" | "takesMore">,
    intervalMs: number,
    tell: () => Promise<void>,
  ): Promise<never> {
    const caller = await call.caller();
    const owner = shareOwner(caller.uid);
    const own = this.#users.get(owner) ?? 0;
    // The limit of all streams does not keep out privileged callers.
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
      // Not settled for a caller that has disconnected: nobody waits for a reply.
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
