// Signals from the writer of a download to its reader: bytes have arrived, all bytes have arrived, the download has
// failed.

/** For one writer and one reader. */
export class Arrival {
  #isComplete = false;
  #failure: unknown = null;
  #wake: () => void = () => {};

  /** Wakes the reader, which looks for bytes again. */
  wake(): void {
    this.#wake();
  }

  /** All bytes have arrived. */
  complete(): void {
    this.#isComplete = true;
    this.#wake();
  }

  /** No more bytes will arrive; the reader gets the error. */
  fail(error: unknown): void {
    this.#failure = error;
    this.#wake();
  }

  /** Throws the error of a download that has failed. */
  throwFailure(): void {
    if (this.#failure !== null) throw this.#failure;
  }

  /**
   * For a reader that has read all bytes: waits for the next `wake()`; returns false where there will be no more.
   * Throws as `throwFailure()`.
   */
  async waitForMore(): Promise<boolean> {
    this.throwFailure();
    if (this.#isComplete) return false;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#wake = resolve;
    await promise;
    return true;
  }
}
