// Limits how many places (of connections, workers …) are held at a time, in all and for each key (a user, a machine).
// Waiting keys are served round-robin.
import { MachinedError } from "./error.ts";
import { mayTakeAnother, type ShareLimits } from "./fair-share.ts";

interface PlaceLimits extends ShareLimits {
  /** How many places of one key may be waited for. */
  readonly waiting: number;
}

/**
 * A place that is held, or waited for until `granted` resolves. `leave()` returns it or stops waiting; repeating it is
 * harmless.
 */
export interface Place {
  readonly granted: Promise<void>;
  leave(): void;
}

interface Waiter {
  grant(): void;
}

/** Grants places: each waiting key gets one before any gets its next; fair-share.ts limits what one key may hold. */
export class FairPlaces<Key> {
  readonly #limits: PlaceLimits;
  readonly #held = new Map<Key, number>();
  readonly #waiting = new Map<Key, Waiter[]>();
  #total = 0;

  constructor(limits: PlaceLimits) {
    this.#limits = limits;
  }

  /** How many places are taken. */
  get taken(): number {
    return this.#total;
  }

  /**
   * Takes a place for `key`, or queues for one. Throws LimitsExceeded with the text `refusal` when the queue of `key`
   * is full.
   */
  take(key: Key, refusal: string): Place {
    let state: "waiting" | "held" | "left" = "waiting";
    const { promise: granted, resolve } = Promise.withResolvers<void>();
    const waiter = {
      grant: () => {
        state = "held";
        this.#count(key, 1);
        resolve();
      },
    };
    const queue = this.#waiting.get(key) ?? [];
    if (queue.length >= this.#limits.waiting) throw new MachinedError("LimitsExceeded", refusal);
    queue.push(waiter);
    this.#waiting.set(key, queue);
    this.#grantNext();
    const leave = () => {
      if (state === "waiting") this.#forget(key, waiter);
      if (state === "held") this.#count(key, -1);
      state = "left";
      this.#grantNext();
    };
    return { granted, leave };
  }

  #count(key: Key, change: 1 | -1): void {
    const held = (this.#held.get(key) ?? 0) + change;
    this.#total += change;
    if (held > 0) this.#held.set(key, held);
    else this.#held.delete(key);
  }

  #forget(key: Key, waiter: Waiter): void {
    const queue = (this.#waiting.get(key) ?? []).filter((other) => other !== waiter);
    if (queue.length > 0) this.#waiting.set(key, queue);
    else this.#waiting.delete(key);
  }

  #grantNext(): void {
    for (const [key, queue] of [...this.#waiting]) {
      const mayHave = mayTakeAnother(this.#held.get(key) ?? 0, this.#total, this.#limits);
      const next = mayHave ? queue.shift() : undefined;
      if (next === undefined) continue;
      // Re-inserting moves the key after all others.
      this.#waiting.delete(key);
      if (queue.length > 0) this.#waiting.set(key, queue);
      next.grant();
    }
  }
}
