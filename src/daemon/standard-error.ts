// Standard error as the place of a daemon's log. Its reader, the journal or a pipe of a supervisor, may be stuck: the
// daemon then drops lines and continues to serve.
import { writeSync } from "node:fs";
import { isWritable } from "../kernel/file/writable.ts";

const STDERR = 2;
/** How long a line waits for a reader that is slow. */
const PATIENCE_MS = 100;
/** A pipe that is writable takes this many bytes at once: PIPE_BUF of pipe(7). */
const PIECE_BYTES = 4096;

/** Writes lines while they are read. */
export class StandardError {
  readonly #noteOf: (dropped: number) => string;
  #isStuck = false;
  /** How many lines were dropped and not reported yet. */
  #dropped = 0;
  /** Whether the last line was written in part. */
  #isCut = false;

  /** `noteOf` returns the line that says how many lines were dropped. */
  constructor(noteOf: (dropped: number) => string) {
    this.#noteOf = noteOf;
  }

  /** Writes a line with its newline. Drops it where nobody has read for PATIENCE_MS. Throws where writing fails. */
  write(line: string): void {
    const note = this.#dropped > 0 ? this.#noteOf(this.#dropped) : "";
    const bytes = Buffer.from(`${this.#isCut ? "\n" : ""}${note}${line}`);
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) {
      if (!this.#isFree()) {
        this.#dropped++;
        return;
      }
      writeSync(STDERR, bytes.subarray(at, at + PIECE_BYTES));
      // The first piece has the note.
      if (at === 0) this.#dropped = 0;
      this.#isCut = at + PIECE_BYTES < bytes.length;
    }
  }

  /** Returns how many lines were dropped and not reported, which the caller reports now. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  /** While the reader is stuck, no further line waits. */
  #isFree(): boolean {
    const isFree = isWritable(STDERR, this.#isStuck ? 0 : PATIENCE_MS);
    this.#isStuck = !isFree;
    return isFree;
  }
}
