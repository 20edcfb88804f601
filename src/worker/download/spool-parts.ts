// The parts of a download beyond its contiguous beginning: several connections fetch parts in any order.

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

  /** Where the first part begins; null when there is none. */
  get next(): number | null {
    return this.#parts[0]?.start ?? null;
  }

  /** Where the last one ends; null when there is none. */
  get end(): number | null {
    return this.#parts.at(-1)?.end ?? null;
  }

  /** What is missing behind the first part, up to `size`. */
  gaps(size: number): Part[] {
    return this.#parts.flatMap(({ end }, index) => {
      const next = this.#parts[index + 1]?.start ?? size;
      return next > end ? [{ start: end, end: next }] : [];
    });
  }

  reset(parts: readonly Part[]): void {
    this.#parts = parts;
  }

  /** Notes bytes that have come, which may go on from a part. */
  add(position: number, bytes: number): void {
    const before = this.#parts.find(({ end }) => end === position);
    const others = this.#parts.filter((part) => part !== before);
    const part = { start: before?.start ?? position, end: position + bytes };
    this.#parts = [...others, part].sort((a, b) => a.start - b.start);
  }

  /** Where what is whole from the beginning ends, when that was `end` so far; the parts it reaches are taken off. */
  join(end: number): number {
    const reached = this.#parts.filter(({ start }) => start <= end);
    if (reached.length === 0) return end;
    this.#parts = this.#parts.filter(({ start }) => start > end);
    return this.join(Math.max(end, ...reached.map((part) => part.end)));
  }
}
