// Runs tasks one at a time for each key and limits how many run in all.

/** Starts work one after the other for each key, and at most `limit` at a time over all keys. */
export class KeyedLimiter<Key extends object> {
  readonly #limit: number;
  readonly #last = new WeakMap<Key, Promise<unknown>>();
  readonly #waiting: (() => void)[] = [];
  #running = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /** Runs `work` when key and limit allow it; returns its result. */
  take<Result>(key: Key, work: () => Promise<Result>): Promise<Result> {
    const before = this.#last.get(key) ?? Promise.resolve();
    const result = before.then(() => this.#run(work));
    this.#last.set(
      key,
      result.catch(() => {}),
    );
    return result;
  }

  async #run<Result>(work: () => Promise<Result>): Promise<Result> {
    if (this.#running >= this.#limit) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#running++;
    try {
      return await work();
    } finally {
      // The next waiting task takes this one's slot; without one, the slot is free.
      const next = this.#waiting.shift();
      if (next === undefined) this.#running--;
      else next();
    }
  }
}
