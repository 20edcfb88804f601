// Runs tasks one at a time for each key and limits how many run in all. The owners of keys share the places.
import { FairPlaces, type PlaceLimits } from "../../base/fair-places.ts";

/** Starts work one after the other for each key, and a limited number at a time over all keys. */
export class KeyedLimiter<Key extends object> {
  readonly #places: FairPlaces<number>;
  readonly #last = new WeakMap<Key, Promise<unknown>>();

  constructor(limits: PlaceLimits) {
    this.#places = new FairPlaces(limits);
  }

  /**
   * Runs `work` when key and limits allow it; returns its result. `owner` is the owner of the key. Rejects with
   * LimitsExceeded where too much work of the owner waits.
   */
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
    const place = this.#places.take(owner, "Too many files of machines are being opened.");
    try {
      await place.granted;
      return await work();
    } finally {
      place.leave();
    }
  }
}
