// Limits how many log lines of a worker are passed on, so that a faulty worker fills neither the journal nor the queues
// of the bus.

const LINES_PER_SECOND = 200;
const SECOND_MS = 1_000;

/** The budget of one worker: LINES_PER_SECOND in each second. `now` returns milliseconds of a monotonic clock. */
export class LogBudget {
  readonly #now: () => number;
  #since = Number.NEGATIVE_INFINITY;
  #spent = 0;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /**
   * Counts a line. `mayPass`: whether it may be passed on; `suppressed`: how many lines of the last second were not.
   */
  spend(): { readonly mayPass: boolean; readonly suppressed: number } {
    const now = this.#now();
    let suppressed = 0;
    if (now - this.#since >= SECOND_MS) {
      suppressed = this.suppressed;
      this.#since = now;
      this.#spent = 0;
    }
    this.#spent++;
    return { mayPass: this.#spent <= LINES_PER_SECOND, suppressed };
  }

  /** How many lines since the last report were not passed on; for the end of the log. */
  get suppressed(): number {
    return Math.max(this.#spent - LINES_PER_SECOND, 0);
  }
}
