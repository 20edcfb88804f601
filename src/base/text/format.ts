// Times, spans, sizes and text widths as the machinectl family prints them: systemd.time(7), "Displaying time spans"
// and "Displaying timestamps". The time zone and the current time are arguments.

const SECOND = 1_000_000n;
const MINUTE = 60n * SECOND;
const HOUR = 60n * MINUTE;
const DAY = 24n * HOUR;
const WEEK = 7n * DAY;
const MONTH = 2_629_800n * SECOND;
const YEAR = 31_557_600n * SECOND;

/** The value of unsigned 64-bit properties that means unlimited, unknown or never. */
export const UINT64_MAX = 0xffff_ffff_ffff_ffffn;

/** The offset of a time zone from UTC at one time, and its abbreviation. */
interface ZoneOffset {
  readonly offsetSeconds: number;
  readonly abbreviation: string;
}

/** A time zone: takes seconds since the epoch, returns offset and abbreviation. */
export type Zone = (seconds: number) => ZoneOffset;

/** Coordinated Universal Time. */
export const UTC: Zone = () => ({ offsetSeconds: 0, abbreviation: "UTC" });

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"] as const;

/** The last year of four digits. */
const LAST_YEAR = 9999;

/**
 * Formats a wall-clock time such as `Sun 2026-11-22 12:35:02 UTC`. Takes µs since the epoch and a zone; returns the
 * empty string for "never" (0 and UINT64_MAX), and for years of more than four digits.
 */
export function formatTimestamp(usec: bigint, zone: Zone): string {
  if (usec === 0n || usec === UINT64_MAX) return "";
  const seconds = Number(usec / SECOND);
  const { offsetSeconds, abbreviation } = zone(seconds);
  const local = new Date((seconds + offsetSeconds) * 1000);
  if (Number.isNaN(local.getTime()) || local.getUTCFullYear() > LAST_YEAR) return "";
  const text = local.toISOString();
  return `${WEEKDAYS[local.getUTCDay()]} ${text.slice(0, 10)} ${text.slice(11, 19)} ${abbreviation}`;
}

function count(amount: bigint, unit: string): string {
  return `${amount} ${unit}${amount === 1n ? "" : "s"}`;
}

/** How a relative time is written, for distances of at least `least` µs; the first fitting row counts. */
const RELATIVE: readonly { least: bigint; write: (distance: bigint) => string }[] = [
  { least: YEAR, write: (d) => `${count(d / YEAR, "year")} ${count((d % YEAR) / MONTH, "month")}` },
  { least: MONTH, write: (d) => `${count(d / MONTH, "month")} ${count((d % MONTH) / DAY, "day")}` },
  { least: WEEK, write: (d) => `${count(d / WEEK, "week")} ${count((d % WEEK) / DAY, "day")}` },
  { least: 2n * DAY, write: (d) => count(d / DAY, "day") },
  { least: 25n * HOUR, write: (d) => `1 day ${(d - DAY) / HOUR}h` },
  { least: 6n * HOUR, write: (d) => `${d / HOUR}h` },
  { least: HOUR, write: (d) => `${d / HOUR}h ${(d % HOUR) / MINUTE}min` },
  { least: 5n * MINUTE, write: (d) => `${d / MINUTE}min` },
  { least: MINUTE, write: (d) => `${d / MINUTE}min ${(d % MINUTE) / SECOND}s` },
  { least: SECOND, write: (d) => `${d / SECOND}s` },
  { least: 1000n, write: (d) => `${d / 1000n}ms` },
  { least: 1n, write: (d) => `${d}us` },
];

/**
 * Formats a time relative to now: `4s ago`, `1 day 2h ago`, `3h 5min left`, `now`. Takes two times in µs since the
 * epoch; returns the empty string for "never" (0 and UINT64_MAX).
 */
export function formatRelative(usec: bigint, nowUsec: bigint): string {
  if (usec === 0n || usec === UINT64_MAX) return "";
  const distance = nowUsec > usec ? nowUsec - usec : usec - nowUsec;
  const step = RELATIVE.find(({ least }) => distance >= least);
  if (step === undefined) return "now";
  return `${step.write(distance)} ${nowUsec > usec ? "ago" : "left"}`;
}

const SPAN_UNITS: readonly (readonly [suffix: string, usec: bigint, digits: number])[] = [
  ["y", YEAR, 0],
  ["month", MONTH, 0],
  ["w", WEEK, 0],
  ["d", DAY, 0],
  ["h", HOUR, 0],
  ["min", MINUTE, 0],
  ["s", SECOND, 6],
  ["ms", 1000n, 3],
  ["us", 1n, 0],
];

/** Formats a duration in µs: `1min 30s`, `1.500000s`, `0`; `infinity` for UINT64_MAX. */
export function formatSpan(usec: bigint): string {
  if (usec === UINT64_MAX) return "infinity";
  if (usec <= 0n) return "0";
  const parts: string[] = [];
  let rest = usec;
  for (const [suffix, unit, digits] of SPAN_UNITS) {
    if (rest < unit) continue;
    const fraction = rest % unit;
    if (rest < MINUTE && fraction > 0n && digits > 0) {
      parts.push(`${rest / unit}.${fraction.toString().padStart(digits, "0")}${suffix}`);
      break;
    }
    parts.push(`${rest / unit}${suffix}`);
    rest = fraction;
    if (rest === 0n) break;
  }
  return parts.join(" ");
}

const SIZE_UNITS: readonly (readonly [suffix: string, bytes: bigint])[] = [
  ["E", 1n << 60n],
  ["P", 1n << 50n],
  ["T", 1n << 40n],
  ["G", 1n << 30n],
  ["M", 1n << 20n],
  ["K", 1n << 10n],
];

/**
 * Formats a size in bytes to base 1024 with at most one decimal: `78B`, `36K`, `1007.5K`; empty for UINT64_MAX
 * (unknown).
 */
export function formatBytes(bytes: bigint): string {
  if (bytes === UINT64_MAX) return "";
  const row = SIZE_UNITS.find(([, unit]) => bytes >= unit);
  if (row === undefined) return `${bytes}B`;
  const [suffix, unit] = row;
  const tenth = ((bytes % unit) * 10n) / unit;
  return `${bytes / unit}${tenth > 0n ? `.${tenth}` : ""}${suffix}`;
}

/** Returns how many columns a text occupies on a terminal. */
export function displayWidth(text: string): number {
  return Bun.stringWidth(text);
}

/** Cuts text to the leading (or, `fromEnd`, trailing) characters that fit into `width` columns. */
function fit(text: string, width: number, options: { fromEnd?: boolean } = {}): string {
  const characters = Array.from(text);
  if (options.fromEnd === true) characters.reverse();
  let used = 0;
  const kept: string[] = [];
  for (const character of characters) {
    used += displayWidth(character);
    if (used > width) break;
    kept.push(character);
  }
  if (options.fromEnd === true) kept.reverse();
  return kept.join("");
}

/**
 * Shortens text to `width` columns with an ellipsis (`…`, or `...` where the terminal is not UTF-8). `percent` of the
 * remaining width is used before the ellipsis: 100 cuts the end off. Text that fits is returned unchanged.
 */
export function ellipsize(text: string, width: number, ellipsis: string, percent = 100): string {
  if (displayWidth(text) <= width) return text;
  if (width < ellipsis.length) return ellipsis.slice(0, width);
  const room = width - ellipsis.length;
  const before = Math.floor((room * percent + 50) / 100);
  return fit(text, before) + ellipsis + fit(text, room - before, { fromEnd: true });
}
