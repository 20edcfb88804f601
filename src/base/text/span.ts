// Time spans as users write them (systemd.time(7), "Parsing Time Spans").

const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** The names of each unit, and its length in milliseconds. A month is a twelfth of a year of 365.25 days. */
const UNITS: readonly (readonly [names: string, ms: number])[] = [
  ["usec us \u00b5s \u03bcs", 0.001],
  ["msec ms", 1],
  ["seconds second sec s", SECOND_MS],
  ["minutes minute min m", MINUTE_MS],
  ["hours hour hr h", HOUR_MS],
  ["days day d", DAY_MS],
  ["weeks week w", 7 * DAY_MS],
  ["months month M", 30.4375 * DAY_MS],
  ["years year y", 365.25 * DAY_MS],
];

const MS_OF = new Map(UNITS.flatMap(([names, ms]) => names.split(" ").map((name): [string, number] => [name, ms])));

/**
 * Parses a time span such as `90` (seconds), `1.5s`, `2min 30s`, `3 weeks`. Returns milliseconds, at least one for a
 * span that is not 0; undefined for a text that is none, or one whose milliseconds no number has.
 */
export function parseSpanMs(text: string): number | undefined {
  let total = 0;
  const rest = text
    .trim()
    .replace(/(\d+(?:\.\d+)?)\s*([a-zA-Z\u00b5\u03bc]*)\s*/g, (whole, number: string, unit: string) => {
      const factor = MS_OF.get(unit === "" ? "s" : unit);
      if (factor === undefined) return whole;
      total += Number(number) * factor;
      return "";
    });
  if (text.trim() === "" || rest !== "" || total > Number.MAX_SAFE_INTEGER) return undefined;
  // 0 means no limit for some options, which a very short time must not mean.
  return total > 0 ? Math.max(Math.round(total), 1) : 0;
}
