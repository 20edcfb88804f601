// Time zone rules in the form of POSIX: `EST5EDT,M3.2.0,M11.1.0` (tzset(3)). $TZ may contain one; a zone file ends with
// one, which applies after the last change that the file lists.
import type { Zone } from "../../base/text/format.ts";

const DAY = 86_400;
const DEFAULT_TIME = 7200;

const NAME = "([A-Za-z]{3,}|<[A-Za-z0-9+-]{3,}>)";
const OFFSET = "([+-]?\\d{1,3}(?::\\d{1,2}){0,2})";
const DATE = "((?:J?\\d{1,3}|M\\d{1,2}\\.\\d\\.\\d)(?:/[+-]?\\d{1,3}(?::\\d{1,2}){0,2})?)";
const RULE = new RegExp(`^${NAME}${OFFSET}(?:${NAME}${OFFSET}?(?:,${DATE},${DATE})?)?$`);

/** The dates of the United States, which the C library uses for a rule that names summer time but no dates. */
const DEFAULT_DATES = ["M3.2.0", "M11.1.0"] as const;

/** Returns `[+-]hh[:mm[:ss]]` in seconds. */
function span(text: string): number {
  const [hours = 0, minutes = 0, seconds = 0] = text.replace(/^[+-]/, "").split(":").map(Number);
  const total = hours * 3600 + minutes * 60 + seconds;
  return text.startsWith("-") ? -total : total;
}

function isLeap(year: number): boolean {
  return (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0;
}

function yearStart(year: number): number {
  return Date.UTC(year, 0, 1) / 1000;
}

/** Returns the start of the n-th `day` (0: Sunday) of a month in seconds since the epoch; 5 is the last one. */
function weekday(year: number, month: number, nth: number, day: number): number {
  const first = new Date(Date.UTC(year, month - 1, 1));
  const lastDay = new Date(Date.UTC(year, month, 0)).getUTCDate();
  let date = 1 + ((day - first.getUTCDay() + 7) % 7) + (nth - 1) * 7;
  while (date > lastDay) date -= 7;
  return Date.UTC(year, month - 1, date) / 1000;
}

/** Returns when a year's change happens: seconds since the epoch in the local time that is valid before the change. */
type Change = (year: number) => number;

function parseChange(text: string): Change {
  const [date = "", time] = text.split("/");
  const seconds = time === undefined ? DEFAULT_TIME : span(time);
  const month = /^M(\d+)\.(\d)\.(\d)$/.exec(date);
  if (month !== null) {
    const [, m, n, d] = month.map(Number);
    return (year) => weekday(year, m ?? 1, n ?? 1, d ?? 0) + seconds;
  }
  const day = Number(date.replace("J", ""));
  // J counts from 1 and skips the 29th of February; without it days count from 0.
  if (!date.startsWith("J")) return (year) => yearStart(year) + day * DAY + seconds;
  return (year) => yearStart(year) + (day - 1 + (isLeap(year) && day >= 60 ? 1 : 0)) * DAY + seconds;
}

/** Parses a rule; null for text that is no rule. */
export function parseZoneRule(text: string): Zone | null {
  const match = RULE.exec(text);
  if (match === null) return null;
  const [, name = "", offset = "", summerName, summerOffset, from, to] = match;
  const plain = (quoted: string) => quoted.replace(/[<>]/g, "");
  const standard = { offsetSeconds: -span(offset) || 0, abbreviation: plain(name) };
  if (summerName === undefined) return () => standard;
  const ahead = summerOffset === undefined ? standard.offsetSeconds + 3600 : -span(summerOffset);
  const summer = { offsetSeconds: ahead, abbreviation: plain(summerName) };
  const [begin, end] = [parseChange(from ?? DEFAULT_DATES[0]), parseChange(to ?? DEFAULT_DATES[1])];
  return (seconds) => {
    const year = new Date((seconds + standard.offsetSeconds) * 1000).getUTCFullYear();
    const start = begin(year) - standard.offsetSeconds;
    const stop = end(year) - summer.offsetSeconds;
    const inSummer = start < stop ? seconds >= start && seconds < stop : seconds >= start || seconds < stop;
    return inSummer ? summer : standard;
  };
}
