// Collects the pieces of a message until it is complete.

const NOTHING: Buffer = Buffer.alloc(0);

/**
 * Bytes in the order of their arrival. The memory grows with what has arrived, not with a length that a peer announces,
 * and bytes that arrive one by one take no more of it than bytes that arrive at once.
 */
export class GrowingBuffer {
  readonly #leastBytes: number;
  #memory = NOTHING;
  #length = 0;

  /** `leastBytes`: the memory that the first bytes take at least. */
  constructor(leastBytes: number) {
    this.#leastBytes = leastBytes;
  }

  /** The number of bytes that have arrived. */
  get length(): number {
    return this.#length;
  }

  /** The memory that they take. */
  get heldBytes(): number {
    return this.#memory.length;
  }

  /** The bytes, in memory that the next `append()` may write to. */
  get bytes(): Buffer {
    return this.#memory.subarray(0, this.#length);
  }

  append(bytes: Buffer): void {
    const length = this.#length + bytes.length;
    if (length > this.#memory.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#leastBytes, 2 * this.#memory.length, length));
      this.#memory.copy(larger, 0, 0, this.#length);
      this.#memory = larger;
    }
    bytes.copy(this.#memory, this.#length);
    this.#length = length;
  }

  /** Returns the bytes, whose memory then belongs to the caller, and begins anew. */
  take(): Buffer {
    const { bytes } = this;
    this.clear();
    return bytes;
  }

  /** Drops the bytes and their memory. */
  clear(): void {
    this.#memory = NOTHING;
    this.#length = 0;
  }
}
