// The escape sequence of a session: ^] typed three times within a second of the first.

const ESCAPE = 0x1d;
const TIMES = 3;
const WITHIN_MS = 1000;

/** Counts the escape bytes of an input, across its reads. */
export class EscapeCounter {
  #count = 0;
  #firstMs = 0;

  /** Looks at further input; true when it holds the last of the three. Everything before that was meant for the program. */
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
