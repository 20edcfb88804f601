// The size of the parts of an upload. It adapts to the speed of the connection: large parts spend less time waiting for
// replies, small ones report progress on a slow connection and lose less when one fails.
import { HTTP_LIMITS, type HttpLimits } from "../download/http.ts";

/** The limits of parts, in bytes and milliseconds. */
export interface PartLimits {
  /** A blob up to this size is sent in one request, with its digest. */
  readonly wholeBytes: number;
  readonly firstBytes: number;
  readonly leastBytes: number;
  readonly mostBytes: number;
  /** After a part that took less than `fastMs` the next one is larger, after more than `slowMs` smaller. */
  readonly fastMs: number;
  readonly slowMs: number;
  /** A part that is sent more slowly fails. */
  readonly slowestBytesPerSecond: number;
  /**
   * The additional time for the reply to a finished upload, as the number of bytes that could be sent meanwhile:
   * registries move or read the whole blob.
   */
  readonly settleBytes: (size: number) => number;
}

export const PART_LIMITS: PartLimits = {
  wholeBytes: 1 << 20,
  firstBytes: 1 << 20,
  leastBytes: 256 << 10,
  mostBytes: 16 << 20,
  fastMs: 1000,
  slowMs: 15_000,
  slowestBytesPerSecond: 8 << 10,
  settleBytes: (size) => size / 1024,
};

/** A registry's minimum is respected up to this size, because a part is held in memory. */
const LEAST_LIMIT_BYTES = 64 << 20;

/** The size of the next part of one upload. */
export class PartSize {
  readonly #limits: PartLimits;
  #bytes: number;
  #least: number;

  constructor(limits: PartLimits) {
    this.#limits = limits;
    this.#bytes = limits.firstBytes;
    this.#least = limits.leastBytes;
  }

  /** The size of the next part in bytes; the last part of a blob is shorter. */
  get bytes(): number {
    return this.#bytes;
  }

  /** Sets the minimum that the registry requires; it is capped at LEAST_LIMIT_BYTES. */
  atLeast(bytes: number): void {
    this.#least = Math.max(this.#limits.leastBytes, Math.min(bytes, LEAST_LIMIT_BYTES));
    this.#bytes = Math.max(this.#bytes, this.#least);
  }

  /** Adapts the size to the time that a part took. */
  took(bytes: number, durationMs: number): void {
    // The last part is shorter than the others.
    if (bytes < this.#bytes) return;
    const { fastMs, slowMs, mostBytes } = this.#limits;
    if (durationMs < fastMs) this.#bytes = Math.min(this.#bytes * 2, Math.max(mostBytes, this.#least));
    if (durationMs > slowMs) this.#bytes = Math.max(Math.floor(this.#bytes / 2), this.#least);
  }

  /** Returns the limits of a request that sends this many bytes. */
  httpLimits(bytes: number): HttpLimits {
    const sendMs = (bytes / this.#limits.slowestBytesPerSecond) * 1000;
    return { ...HTTP_LIMITS, answerMs: HTTP_LIMITS.answerMs + sendMs };
  }
}
