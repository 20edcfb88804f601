// The parts of a download beyond its contiguous beginning: several connections download parts in any order.

/** A range of bytes. */
export interface Part {
  readonly start: number;
  readonly end: number;
}

export class SpoolParts {
  /** In ascending order. */
  #parts: readonly Part[] = [];

  get list(): readonly Part[] {
    return this.#parts;
  }

  /** The start of the first part; null when there is none. */
  get next(): number | null {
    return this.#parts[0]?.start ?? null;
  }

  /** The end of the last part; null when there is none. */
  get end(): number | null {
    return this.#parts.at(-1)?.end ?? null;
  }

  /** Returns the gaps between the parts, and the one between the last part and `size`. */
  gaps(size: number): Part[] {
    return this.#parts.flatMap(({ end }, index) => {
      const next = this.#parts[index + 1]?.start ?? size;
      return next > end ? [{ start: end, end: next }] : [];
    });
  }

  reset(parts: readonly Part[]): void {
    this.#parts = parts;
  }

  /** Adds received bytes, which may continue a part. */
  add(position: number, bytes: number): void {
    const before = this.#parts.find(({ end }) => end === position);
    const others = this.#parts.filter((part) => part !== before);
    const part = { start: before?.start ?? position, end: position + bytes };
    this.#parts = [...others, part].sort((a, b) => a.start - b.start);
  }

  /** Returns the end of the contiguous beginning, which was `end` so far; removes the parts that it reaches. */
  join(end: number): number {
    const reached = this.#parts.filter(({ start }) => start <= end);
    if (reached.length === 0) return end;
    this.#parts = this.#parts.filter(({ start }) => start > end);
    return this.join(Math.max(end, ...reached.map((part) => part.end)));
  }
}
