// Input in chunks of any size for a parser that reads it as one buffer. The parser is a generator: where it needs more
// than has arrived it yields, and continues with the next chunk.
import { ErrnoError } from "../../base/error.ts";

const DAMAGED = "Archive is damaged: ";

/** The error of an archive that cannot be parsed. */
export function damaged(what: string): ErrnoError {
  return new ErrnoError("EBADMSG", `${DAMAGED}${what}`);
}

/** Whether an error is one of `damaged()`. */
export function isDamage({ message }: ErrnoError): boolean {
  return message.startsWith(DAMAGED);
}

/** A parser that pauses for chunks; null means the end. */
export type Parse<Result> = Generator<undefined, Result, Buffer | null>;

const NOTHING = Buffer.alloc(0);

export class ByteFeed {
  #chunk: Buffer = NOTHING;
  #at = 0;
  #before = 0;
  #isOver = false;

  /** The number of bytes that were taken, of all chunks together. */
  get taken(): number {
    return this.#before + this.#at;
  }

  /** Waits for at least one byte; returns false at the end. */
  *hasMore(): Parse<boolean> {
    while (this.#at === this.#chunk.length) {
      const next = this.#isOver ? null : yield;
      if (next === null) {
        this.#isOver = true;
        return false;
      }
      this.#before += this.#at;
      this.#chunk = next;
      this.#at = 0;
    }
    return true;
  }

  /**
   * Returns the next `size` bytes: a view of a chunk, or a copy where they are in several chunks. Throws EBADMSG when
   * there are fewer.
   */
  *take(size: number): Parse<Buffer> {
    if (this.#chunk.length - this.#at >= size) {
      this.#at += size;
      return this.#chunk.subarray(this.#at - size, this.#at);
    }
    const parts = Buffer.allocUnsafe(size);
    let filled = 0;
    while (filled < size) filled += (yield* this.#some(size - filled)).copy(parts, filled);
    return parts;
  }

  /** Returns the next `size` bytes, or fewer at the end. */
  *takeUpTo(size: number): Parse<Buffer> {
    if (this.#chunk.length - this.#at >= size) return yield* this.take(size);
    const parts: Buffer[] = [];
    for (let left = size; left > 0 && (yield* this.hasMore()); ) {
      const part = yield* this.#some(left);
      // Copied, because the chunk's memory may be reused once the parser pauses.
      parts.push(Buffer.from(part));
      left -= part.length;
    }
    return Buffer.concat(parts);
  }

  /** Passes the next `size` bytes to `sink`, in the pieces in which they arrive. */
  *pass(size: number, sink: (part: Buffer) => void): Parse<void> {
    for (let left = size; left > 0; ) {
      const part = yield* this.#some(left);
      sink(part);
      left -= part.length;
    }
  }

  *skip(size: number): Parse<void> {
    for (let left = size; left > 0; ) left -= (yield* this.#some(left)).length;
  }

  *#some(most: number): Parse<Buffer> {
    if (!(yield* this.hasMore())) throw damaged("it ends in the middle of a member");
    const end = Math.min(this.#at + most, this.#chunk.length);
    const part = this.#chunk.subarray(this.#at, end);
    this.#at = end;
    return part;
  }
}
