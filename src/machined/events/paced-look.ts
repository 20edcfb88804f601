// Looks at something that others change as they like: at once when it was quiet, and the longer afterwards the more there was
// to tell. Whoever changes it without a pause has the differences told now and then, and cannot flood the log.

/** The pause after a look, and for each event that it told. */
interface Pace {
  readonly pauseMs: number;
  readonly perEventMs: number;
}

const PACE: Pace = { pauseMs: 50, perEventMs: 250 };

export class PacedLook implements Disposable {
  readonly #look: () => number;
  readonly #pace: Pace;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isDue = false;
  #isStopped = false;

  /** `look` returns how many events it told. */
  constructor(look: () => number, pace: Pace = PACE) {
    this.#look = look;
    this.#pace = pace;
  }

  /** Something has changed. */
  readonly changed = (): void => {
    if (this.#isStopped) return;
    if (this.#timer !== null) this.#isDue = true;
    else this.#lookNow();
  };

  [Symbol.dispose](): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #lookNow(): void {
    this.#isDue = false;
    // A look that fails is followed by a pause, too.
    let told = 0;
    try {
      told = this.#look();
    } finally {
      this.#pause(this.#pace.pauseMs + told * this.#pace.perEventMs);
    }
  }

  #pause(ms: number): void {
    if (this.#isStopped) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      if (this.#isDue) this.#lookNow();
    }, ms);
    this.#timer.unref();
  }
}
