// Limits how often a state is read that other processes change: a change after a quiet time is read at once, and each
// reading is followed by a pause that grows with the number of its events. Continuous changes therefore cannot flood
// the log.

/** The pause after a reading, and the pause for each of its events. */
interface Pace {
  readonly pauseMs: number;
  readonly perEventMs: number;
}

const PACE: Pace = { pauseMs: 50, perEventMs: 250 };

/** A state that is read again when it may have changed. */
interface Watched {
  /** Reads the state; returns how many events it logged. */
  look(): number;
}

export class PacedLook implements Disposable {
  readonly #watched: Watched;
  readonly #pace: Pace;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #isDue = false;
  #isLooking = false;
  #isStopped = false;

  constructor(watched: Watched, pace: Pace = PACE) {
    this.#watched = watched;
    this.#pace = pace;
  }

  /** Requests a reading: the state has changed. During a reading, it requests another one after the pause. */
  changed(): void {
    if (this.#isStopped) return;
    if (this.#timer !== null || this.#isLooking) this.#isDue = true;
    else this.#lookNow();
  }

  [Symbol.dispose](): void {
    this.#isStopped = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #lookNow(): void {
    this.#isDue = false;
    // A pause follows a failed reading, too.
    let events = 0;
    this.#isLooking = true;
    try {
      events = this.#watched.look();
    } finally {
      this.#isLooking = false;
      this.#pause(this.#pace.pauseMs + events * this.#pace.perEventMs);
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
