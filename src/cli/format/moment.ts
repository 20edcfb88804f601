// Parses points in time (systemd.time(7), "Parsing Timestamps"): `2026-11-28 01:13:36`, `10:30`, `yesterday`, `-5min`,
// `2 days ago`, `@1795828416`, RFC 3339 with `Z` or an offset, and what formatTimestamp() prints.
import type { Zone } from "../../base/text/format.ts";
import { parseSpanMs } from "../../base/text/span.ts";

/** A day (a word or a date), a time of day, and a zone; each may be absent. */
const CALENDAR = new RegExp(
  [
    /^(?:(?<word>today|yesterday|tomorrow)|(?:(?<weekday>[a-z]{3,}),? )?(?<date>\d{4}-\d{2}-\d{2}))?/,
    /(?:(?:^|[ t])(?<hours>\d{1,2}):(?<minutes>\d{2})(?::(?<seconds>\d{2})(?:\.(?<fraction>\d{1,6})\d*)?)?)?/,
    /(?: ?(?<utc>z|utc|gmt)| ?(?<sign>[+-])(?<zoneHours>\d{2}):?(?<zoneMinutes>\d{2})| (?<zoneName>[a-z]{3,}|[+-]\d{2}))?$/,
  ]
    .map(({ source }) => source)
    .join(""),
  "i",
);
const DAYS: Readonly<Record<string, number>> = { yesterday: -1, today: 0, tomorrow: 1 };
const WEEKDAYS = ["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"];
const DAY_SECONDS = 86_400;
const HALF_YEAR_SECONDS = 182 * DAY_SECONDS;

type Parts = Readonly<Record<string, string | undefined>>;

/**
 * Returns microseconds since 1970; undefined for text that is no point in time. `zone` is used for text without a zone
 * of its own, and `nowUsec` for relative times, and for days such as `today`.
 */
export function parseMoment(text: string, nowUsec: number, zone: Zone): number | undefined {
  const trimmed = text.trim();
  if (trimmed === "now") return nowUsec;
  if (/^@\d+(\.\d+)?$/.test(trimmed)) return Math.round(Number(trimmed.slice(1)) * 1e6);
  return parseRelative(trimmed, nowUsec) ?? parseCalendar(trimmed, nowUsec, zone);
}

/** Parses `-5min`, `+1h`, `5min ago` and `1h left`. */
function parseRelative(text: string, nowUsec: number): number | undefined {
  const [, sign, signed, plain, way] = /^(?:([+-])(.+)|(.+) (ago|left))$/.exec(text) ?? [];
  const ms = parseSpanMs(signed ?? plain ?? "");
  if (ms === undefined) return undefined;
  return sign === "-" || way === "ago" ? nowUsec - ms * 1000 : nowUsec + ms * 1000;
}

function parseCalendar(text: string, nowUsec: number, zone: Zone): number | undefined {
  const parts: Parts = CALENDAR.exec(text)?.groups ?? {};
  const { word, date, hours, weekday } = parts;
  if (word === undefined && date === undefined && hours === undefined) return undefined;
  const day = date === undefined ? today(nowUsec, zone) + (DAYS[(word ?? "today").toLowerCase()] ?? 0) : dayOf(date);
  const usecOfDay = readTime(parts);
  if (day === undefined || usecOfDay === undefined || !isOn(day, weekday)) return undefined;
  const local = day * DAY_SECONDS + Math.floor(usecOfDay / 1e6);
  const offset = readOffset(parts, local, zone);
  return offset === undefined ? undefined : (local - offset) * 1e6 + (usecOfDay % 1e6);
}

/** Whether a day, in days since 1970, has the name; a name is whole or has three letters. */
function isOn(day: number, weekday: string | undefined): boolean {
  if (weekday === undefined) return true;
  const name = WEEKDAYS[new Date(day * DAY_SECONDS * 1000).getUTCDay()] ?? "";
  return [name, name.slice(0, 3)].includes(weekday.toLowerCase());
}

/** The day on which it is `nowUsec` in the zone, in days since 1970. */
function today(nowUsec: number, zone: Zone): number {
  const seconds = Math.floor(nowUsec / 1e6);
  return Math.floor((seconds + zone(seconds).offsetSeconds) / DAY_SECONDS);
}

/** Returns days since 1970; undefined for a date that does not exist (`2026-02-30`). */
function dayOf(date: string): number | undefined {
  const utc = new Date(`${date}T00:00:00Z`);
  const isReal = !Number.isNaN(utc.getTime()) && utc.toISOString().startsWith(date);
  return isReal ? utc.getTime() / 1000 / DAY_SECONDS : undefined;
}

/** Returns microseconds since midnight; undefined for a time that does not exist (`25:00`). */
function readTime({ hours = "0", minutes = "0", seconds = "0", fraction = "" }: Parts): number | undefined {
  if (Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return undefined;
  return (Number(hours) * 3600 + Number(minutes) * 60 + Number(seconds)) * 1e6 + Number(fraction.padEnd(6, "0"));
}

/**
 * Returns the offset from UTC at a local time, in seconds, positive east of Greenwich; undefined for a name that no
 * time of the zone has.
 */
function readOffset(parts: Parts, local: number, zone: Zone): number | undefined {
  const { utc, sign, zoneHours, zoneMinutes, zoneName } = parts;
  if (utc !== undefined) return 0;
  if (zoneName !== undefined) return offsetNamed(zoneName, local, zone);
  if (sign === undefined) return offsetAt(local, zone);
  return (sign === "-" ? -1 : 1) * (Number(zoneHours) * 3600 + Number(zoneMinutes) * 60);
}

/** Returns the offset that the zone has under a name such as `CET` or `-03` in the year around a local time. */
function offsetNamed(name: string, local: number, zone: Zone): number | undefined {
  const times = [local, local - HALF_YEAR_SECONDS, local + HALF_YEAR_SECONDS].map(zone);
  return times.find(({ abbreviation }) => abbreviation.toLowerCase() === name.toLowerCase())?.offsetSeconds;
}

/**
 * Returns the zone's offset at a local time. `zone` takes UTC, so the first call, with `local`, only approximates it.
 */
function offsetAt(local: number, zone: Zone): number {
  return zone(local - zone(local).offsetSeconds).offsetSeconds;
}
