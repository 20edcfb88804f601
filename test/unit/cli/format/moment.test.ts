// Times that options such as --since= accept.
import { expect, test } from "bun:test";
import { UTC } from "../../../../src/base/text/format.ts";
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

test("dates and times that do not exist are refused", () => {
  for (const text of ["", "2026-02-30", "25:00", "10:61", "soon", "2026-11-28 x", "5min", "@x", "-", "-5 parsecs"]) {
    expect([text, at(text)]).toEqual([text, undefined]);
  }
});
