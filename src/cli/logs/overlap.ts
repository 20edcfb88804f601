// Joins two runs of journalctl so that no line is lost or printed twice. The lines of the last seconds are kept; the
// next run begins some seconds before the end of the last one, and lines that were printed before are recognised and
// left out.

/** How far back the next run begins. Entries reach the reader up to a quarter of a second after they were written. */
const WINDOW_USEC = 5_000_000;
const MOST_LINES = 20_000;
const MOST_CHARACTERS = 16 << 20;

interface Printed {
  readonly line: string;
  readonly atUsec: number;
}

/** The lines that were printed in the last seconds, with their times in µs since 1970. */
export class RecentLines {
  #lines: Printed[] = [];
  /** The next run must not begin before this time, because lines that were printed before it are no longer kept. */
  #floorUsec: number;

  /** `startUsec` is the time at which the first run began. */
  constructor(startUsec: number) {
    this.#floorUsec = startUsec;
  }

  /** Adds lines that were printed at a time; drops old ones. */
  add(lines: readonly string[], atUsec: number): void {
    for (const line of lines) this.#lines.push({ line, atUsec });
    const oldest = this.#lines.findIndex((one) => one.atUsec >= atUsec - 2 * WINDOW_USEC);
    const excess = Math.max(oldest, this.#lines.length - MOST_LINES, this.#longExcess());
    if (excess <= 0) return;
    // Dropped lines were printed by that time; entries that are logged later are among the kept lines.
    this.#floorUsec = Math.max(this.#floorUsec, this.#lines[excess - 1]?.atUsec ?? 0);
    this.#lines = this.#lines.slice(excess);
  }

  /** Returns how many lines must be dropped so that the others have at most MOST_CHARACTERS. */
  #longExcess(): number {
    let characters = 0;
    for (let index = this.#lines.length - 1; index >= 0; index--) {
      characters += this.#lines[index]?.line.length ?? 0;
      if (characters > MOST_CHARACTERS) return index + 1;
    }
    return 0;
  }

  /** The kept lines, oldest first. */
  get lines(): string[] {
    return this.#lines.map(({ line }) => line);
  }

  /** The time at which the next run must begin, in µs since 1970. */
  get resumeUsec(): number {
    const last = this.#lines.at(-1)?.atUsec ?? 0;
    return Math.max(last - WINDOW_USEC, this.#floorUsec);
  }
}

/** What journalctl prints between the entries of two boots, in modes for people; older releases print "Reboot". */
const NEXT_BOOT = /^-- (?:Boot [0-9a-f]{32}|Reboot) --$/;

/**
 * The lines that were printed of the last boot since a start of the machine. A run with --follow reads this boot only:
 * a line of an earlier boot, which can have the same text and second, is none that it reads again.
 */
export class LastBoot {
  #lines: string[] = [];
  #characters = 0;

  /** Adds the next printed lines. Of more than MOST_LINES or MOST_CHARACTERS, the older half is dropped. */
  add(lines: readonly string[]): void {
    for (const line of lines) {
      if (NEXT_BOOT.test(line.trimEnd())) this.#keep([]);
      else {
        this.#lines.push(line);
        this.#characters += line.length;
      }
      if (this.#lines.length > MOST_LINES || this.#characters > MOST_CHARACTERS)
        this.#keep(this.#lines.slice(Math.ceil(this.#lines.length / 2)));
    }
  }

  get lines(): readonly string[] {
    return this.#lines;
  }

  #keep(lines: string[]): void {
    this.#lines = lines;
    this.#characters = lines.reduce((sum, { length }) => sum + length, 0);
  }
}

/** Removes lines from the output of a run that the run before has printed. */
export interface OverlapFilter {
  /** Takes the next lines; returns those that are known to be new. It may hold others until more lines decide. */
  take(lines: readonly string[]): string[];
  /** To be called at the end of the run; returns held lines that are new. */
  finish(): string[];
}

const CONTINUES = /^\s/;

/**
 * For output modes in which an entry contains its time or cursor: removes printed entries in any order, because
 * journalctl sorts entries of several boots and files differently with --follow. Further lines of an entry, which are
 * indented, are removed with its first line.
 */
export class EntryFilter implements OverlapFilter {
  readonly #printed = new Map<string, number>();
  readonly #keyOf: (line: string) => string;
  #isOld = false;

  /** `printed` are the keys of the printed lines; `keyOf` returns the key of a line. */
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

/**
 * For output modes in which different entries can have the same text: removes the longest sequence of lines at the
 * beginning that equals the last printed lines.
 */
export class SequenceFilter implements OverlapFilter {
  readonly #printed: readonly string[];
  /** The indices in `printed` at which the held lines may begin; null after the overlap. */
  #begins: number[] | null = [];
  #held: string[] = [];
  /** How many of the held lines are known to be old; null if none. */
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
    // A match up to the end of the printed lines is an overlap; a longer one, which may follow, replaces it.
    if (matching.some((begin) => begin + at + 1 === this.#printed.length)) this.#old = at + 1;
    return matching.length === 0 ? this.#pass() : [];
  }

  /** Ends the overlap and returns the held lines that are not part of it. */
  #pass(): string[] {
    const fresh = this.#held.slice(this.#old ?? 0);
    this.#held = [];
    this.#begins = null;
    this.#old = null;
    return fresh;
  }
}
