// Where an interrupted reading goes on without a line lost or printed twice. The last lines that were printed are kept; the next
// reading begins some seconds earlier, and what it prints again is recognised and left out.

/** How far back the next reading begins: entries reach the reader up to a quarter of a second after they were written. */
const WINDOW_USEC = 5_000_000;
const MOST_LINES = 20_000;
const MOST_CHARACTERS = 16 << 20;

interface Printed {
  readonly line: string;
  readonly atUsec: number;
}

/** The lines that were printed in the last seconds, with their times. */
export class RecentLines {
  #lines: Printed[] = [];
  /** All that was logged after this moment has been printed since. */
  #floorUsec: number;

  /** `startUsec`: when the reading began. */
  constructor(startUsec: number) {
    this.#floorUsec = startUsec;
  }

  add(lines: readonly string[], atUsec: number): void {
    for (const line of lines) this.#lines.push({ line, atUsec });
    const oldest = this.#lines.findIndex((one) => one.atUsec >= atUsec - 2 * WINDOW_USEC);
    const excess = Math.max(oldest, this.#lines.length - MOST_LINES, this.#longExcess());
    if (excess <= 0) return;
    // Lines that are left out were printed by then; what was logged later is in the lines that stay.
    this.#floorUsec = Math.max(this.#floorUsec, this.#lines[excess - 1]?.atUsec ?? 0);
    this.#lines = this.#lines.slice(excess);
  }

  /** How many lines have to go for what is kept to have its size. */
  #longExcess(): number {
    let characters = 0;
    for (let index = this.#lines.length - 1; index >= 0; index--) {
      characters += this.#lines[index]?.line.length ?? 0;
      if (characters > MOST_CHARACTERS) return index + 1;
    }
    return 0;
  }

  get lines(): string[] {
    return this.#lines.map(({ line }) => line);
  }

  /** Where the next reading begins, µs. */
  get resumeUsec(): number {
    const last = this.#lines.at(-1)?.atUsec ?? 0;
    return Math.max(last - WINDOW_USEC, this.#floorUsec);
  }
}

/** Leaves out of a reading what the reading before has printed. */
export interface OverlapFilter {
  /** Takes the next lines; returns those that are new as far as that is known. */
  take(lines: readonly string[]): string[];
  /** Returns what is held, at the end of the reading. */
  finish(): string[];
}

const CONTINUES = /^\s/;

/**
 * For modes in which an entry tells its moment or its cursor: what was printed is left out wherever it comes again. journalctl
 * orders entries of several boots and files by other rules when it reads them than when it follows them. The further lines of
 * an entry, which are indented, share the fate of its first one.
 */
export class EntryFilter implements OverlapFilter {
  readonly #printed = new Map<string, number>();
  readonly #keyOf: (line: string) => string;
  #isOld = false;

  /** `printed` are the keys of the lines that were printed, `keyOf` returns that of a line. */
  constructor(printed: readonly string[], keyOf: (line: string) => string) {
    for (const key of printed) this.#printed.set(key, (this.#printed.get(key) ?? 0) + 1);
    this.#keyOf = keyOf;
  }

  take(lines: readonly string[]): string[] {
    return this.#printed.size === 0 ? [...lines] : lines.filter((line) => this.#isNew(line));
  }

  finish(): string[] {
    return [];
  }

  #isNew(line: string): boolean {
    if (CONTINUES.test(line)) return !this.#isOld;
    const key = this.#keyOf(line);
    const count = this.#printed.get(key) ?? 0;
    this.#isOld = count > 0;
    if (count > 1) this.#printed.set(key, count - 1);
    else this.#printed.delete(key);
    return !this.#isOld;
  }
}

/** For modes whose lines look the same again and again: the lines at the beginning that are the last ones of the reading before. */
export class SequenceFilter implements OverlapFilter {
  readonly #printed: readonly string[];
  /** Where in `printed` the held lines may begin; null once the overlap has been passed. */
  #begins: number[] | null = [];
  #held: string[] = [];
  /** How many of the held lines are certainly old. */
  #old: number | null = null;

  constructor(printed: readonly string[]) {
    this.#printed = printed;
    if (printed.length === 0) this.#begins = null;
  }

  take(lines: readonly string[]): string[] {
    return lines.flatMap((line) => this.#takeOne(line));
  }

  finish(): string[] {
    return this.#old === null ? [] : this.#pass();
  }

  #takeOne(line: string): string[] {
    if (this.#begins === null) return [line];
    const at = this.#held.length;
    this.#held.push(line);
    const matching =
      at === 0
        ? this.#printed.flatMap((printed, index) => (printed === line ? [index] : []))
        : this.#begins.filter((begin) => this.#printed[begin + at] === line);
    this.#begins = matching;
    // One that reaches the end of what was printed is an overlap; a longer one is better.
    if (matching.some((begin) => begin + at + 1 === this.#printed.length)) this.#old = at + 1;
    return matching.length === 0 ? this.#pass() : [];
  }

  /** The overlap ends here. Where there was none, every line is new. */
  #pass(): string[] {
    const fresh = this.#held.slice(this.#old ?? 0);
    this.#held = [];
    this.#begins = null;
    this.#old = null;
    return fresh;
  }
}
