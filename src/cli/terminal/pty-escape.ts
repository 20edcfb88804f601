// Recognises the escape sequence that ends a session: ^] three times within one second.

const ESCAPE = 0x1d;
const TIMES = 3;
const WITHIN_MS = 1000;

/** Counts the escape characters of an input, over several reads. */
export class EscapeCounter {
  #count = 0;
  #firstMs = 0;

  /** Scans further input; returns true if it contains the third escape character. `nowMs` is a monotonic time. */
  feed(bytes: Uint8Array, nowMs: number): boolean {
    for (const byte of bytes) {
      if (byte !== ESCAPE) {
        this.#count = 0;
        continue;
      }
      if (this.#count === 0 || nowMs - this.#firstMs > WITHIN_MS) {
        this.#count = 1;
        this.#firstMs = nowMs;
      } else if (++this.#count === TIMES) return true;
    }
    return false;
  }
}
