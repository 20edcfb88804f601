// Times that options such as --since= accept.
import { expect, test } from "bun:test";
import { formatTimestamp, UTC } from "../../../../src/base/text/format.ts";
import { parseMoment } from "../../../../src/cli/format/moment.ts";
import { localZone } from "../../../../src/cli/format/time-zone.ts";

const NOW = Date.UTC(2026, 10, 28, 1, 13, 36) * 1000;
const at = (text: string, zone = UTC) => {
  const usec = parseMoment(text, NOW, zone);
  return usec === undefined ? undefined : new Date(usec / 1000).toISOString().replace(".000Z", "Z");
};

test("dates, times of day, 'today', 'yesterday' and 'tomorrow' are in the local time zone", async () => {
  expect(at("2026-11-27 10:30:05")).toBe("2026-11-27T10:30:05Z");
  expect(at("Fri 2026-11-27 10:30")).toBe("2026-11-27T10:30:00Z");
  expect(at("2026-11-27")).toBe("2026-11-27T00:00:00Z");
  expect(at("10:30")).toBe("2026-11-28T10:30:00Z");
  expect(at("today")).toBe("2026-11-28T00:00:00Z");
  expect(at("yesterday")).toBe("2026-11-27T00:00:00Z");
  expect(at("tomorrow 8:00")).toBe("2026-11-29T08:00:00Z");
  const berlin = await localZone("CET-1CEST,M3.5.0,M10.5.0/3");
  expect(at("2026-11-27 10:30", berlin)).toBe("2026-11-27T09:30:00Z");
  expect(at("2026-07-01 10:30", berlin)).toBe("2026-07-01T08:30:00Z");
  const auckland = await localZone("NZST-12NZDT,M9.5.0,M4.1.0/3");
  expect(at("today", auckland)).toBe("2026-11-27T11:00:00Z");
});

test("times with a zone, relative times and seconds since 1970 do not depend on the local time zone", async () => {
  expect(at("2026-11-28T01:13:36Z")).toBe("2026-11-28T01:13:36Z");
  expect(at("2026-11-28T01:13:36.5+01:30")).toBe("2026-11-27T23:43:36.500Z");
  expect(at("2026-11-28 01:13 UTC", await localZone("EST5"))).toBe("2026-11-28T01:13:00Z");
  expect(at("-5min")).toBe("2026-11-28T01:08:36Z");
  expect(at("+1h 30s")).toBe("2026-11-28T02:14:06Z");
  expect(at("2h ago")).toBe("2026-11-27T23:13:36Z");
  expect(at("now")).toBe("2026-11-28T01:13:36Z");
  expect(at("@1795828416")).toBe("2026-11-28T01:13:36Z");
});

test("the times that status and lists print are read in the zone of this host, in summer and in winter", async () => {
  const zones = ["CET-1CEST,M3.5.0,M10.5.0/3", "<-03>3", "EST5EDT,M3.2.0,M11.1.0", "UTC0"];
  for (const name of zones) {
    const zone = await localZone(name);
    // The clock of Berlin shows 02:30 twice on the 25th of October.
    for (const time of ["2026-07-01T08:30:05Z", "2026-11-27T09:30:05Z", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"])
      expect(at(formatTimestamp(BigInt(Date.parse(time)) * 1000n, zone), zone)).toBe(time);
  }
  const berlin = await localZone("CET-1CEST,M3.5.0,M10.5.0/3");
  for (const text of ["2026-11-27 10:30 EST", "2026-11-27 10:30 soon", "2026-11-27-03"]) {
    expect([text, at(text, berlin)]).toEqual([text, undefined]);
  }
});

test("spans have all units of systemd.time(7)", () => {
  for (const [text, seconds] of [
    ["1 second ago", 1],
    ["2 minutes 3seconds ago", 123],
    ["1 hour ago", 3600],
    ["2hr ago", 7200],
    ["3 days ago", 3 * 86_400],
    ["-1w", 7 * 86_400],
    ["2 weeks ago", 14 * 86_400],
    ["-1M", 2_629_800],
    ["1 month ago", 2_629_800],
    ["1 year ago", 31_557_600],
    ["1500msec ago", 1.5],
    ["-2000000us", 2],
  ] as const) {
    expect([text, parseMoment(text, NOW, UTC)]).toEqual([text, NOW - seconds * 1e6]);
  }
});

test("dates and times that do not exist are refused", () => {
  for (const text of [
    "",
    "2026-02-30",
    "25:00",
    "10:61",
    "soon",
    "2026-11-28 x",
    "5min",
    "@x",
    "-",
    "-5 parsecs",
    "Mon 2026-11-27",
    "Frisday 2026-11-27",
  ]) {
    expect([text, at(text)]).toEqual([text, undefined]);
  }
});
