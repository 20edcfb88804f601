// How large the parts of an upload are: so large that a fast line is not kept waiting for answers, and so small that a slow one
// shows progress, and that a part that is lost costs little.
import { HTTP_LIMITS, type HttpLimits } from "../download/http.ts";

export interface PartLimits {
  /** A blob up to this size is sent whole, with its digest. */
  readonly wholeBytes: number;
  readonly firstBytes: number;
  readonly leastBytes: number;
  readonly mostBytes: number;
  /** Parts that are taken sooner become larger, those that take longer become smaller. */
  readonly fastMs: number;
  readonly slowMs: number;
  /** A line on which a part goes slower than this is given up. */
  readonly slowestBytesPerSecond: number;
  /** For how many bytes more the answer to a whole upload may take: registries move it, or read it again. */
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

/** What a registry may ask for, as it stays in memory. */
const LEAST_LIMIT_BYTES = 64 << 20;

export class PartSize {
  readonly #limits: PartLimits;
  #bytes: number;
  #least: number;

  constructor(limits: PartLimits) {
    this.#limits = limits;
    this.#bytes = limits.firstBytes;
    this.#least = limits.leastBytes;
  }

  /** How large the next part is, unless the blob ends before. */
  get bytes(): number {
    return this.#bytes;
  }

  /** The registry wants no smaller parts. A wish for more than can be kept in memory is not heard. */
  atLeast(bytes: number): void {
    this.#least = Math.max(this.#limits.leastBytes, Math.min(bytes, LEAST_LIMIT_BYTES));
    this.#bytes = Math.max(this.#bytes, this.#least);
  }

  /** A part of that size took so long. */
  took(bytes: number, durationMs: number): void {
    // The last part says nothing.
    if (bytes < this.#bytes) return;
    const { fastMs, slowMs, mostBytes } = this.#limits;
    if (durationMs < fastMs) this.#bytes = Math.min(this.#bytes * 2, Math.max(mostBytes, this.#least));
    if (durationMs > slowMs) this.#bytes = Math.max(Math.floor(this.#bytes / 2), this.#least);
  }

  /** The limits of a request that sends so many bytes. */
  httpLimits(bytes: number): HttpLimits {
    const sendMs = (bytes / this.#limits.slowestBytesPerSecond) * 1000;
    return { ...HTTP_LIMITS, answerMs: HTTP_LIMITS.answerMs + sendMs };
  }
}
