// How many lines of a worker are passed on: a worker gone mad must not fill the journal, nor everybody's bus queue.

const LINES_PER_SECOND = 200;
const SECOND_MS = 1_000;

export class LogBudget {
  readonly #now: () => number;
  #since = Number.NEGATIVE_INFINITY;
  #spent = 0;

  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether one more line may pass. `suppressed` is how many did not since the last one that did. */
  spend(): { readonly mayPass: boolean; readonly suppressed: number } {
    const now = this.#now();
    let suppressed = 0;
    if (now - this.#since >= SECOND_MS) {
      suppressed = Math.max(this.#spent - LINES_PER_SECOND, 0);
      this.#since = now;
      this.#spent = 0;
    }
    this.#spent++;
    return { mayPass: this.#spent <= LINES_PER_SECOND, suppressed };
  }
}
