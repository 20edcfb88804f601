// The clock of records. Readers compare the times of one host with each other: a clock that is set back must not make
// new records older than those before.

/** Returns the time in microseconds since 1970, or later where an earlier call has returned a later time. */
export class RecordClock {
  readonly #now: () => number;
  #last = 0;

  constructor(now: () => number = Date.now) {
    this.#now = now;
  }

  usec(): number {
    this.#last = Math.max(this.#last, this.#now() * 1000);
    return this.#last;
  }
}
