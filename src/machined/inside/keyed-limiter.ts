// Runs tasks one at a time for each key and limits how many run in all. The owners of keys share the places.
import { FairPlaces } from "../../base/fair-places.ts";
import type { ShareLimits } from "../../base/fair-share.ts";

/** Starts work one after the other for each key, and a limited number at a time over all keys. */
export class KeyedLimiter<Key extends object> {
  readonly #places: FairPlaces<number>;
  readonly #last = new WeakMap<Key, Promise<unknown>>();

  constructor(limits: ShareLimits) {
    // Of each key, one task at most waits for a place.
    this.#places = new FairPlaces({ ...limits, waiting: Number.POSITIVE_INFINITY });
  }

  /** Runs `work` when key and limits allow it; returns its result. `owner` is the owner of the key. */
  take<Result>(key: Key, owner: number, work: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const result = before.then(() => this.#run(owner, work));
    this.#last.set(
      key,
      result.catch(() => {}),
    );
    return result;
  }

  async #run<Result>(owner: number, work: () => Promise<Result>): Promise<Result> {
    const place = this.#places.take(owner, "");
    try {
      await place.granted;
      return await work();
    } finally {
      place.leave();
    }
  }
}
