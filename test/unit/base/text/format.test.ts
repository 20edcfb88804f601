import { describe, expect, test } from "bun:test";
import {
  displayWidth,
  ellipsize,
  formatBytes,
  formatRelative,
  formatSpan,
  formatTimestamp,
  UINT64_MAX,
  UTC,
} from "../../../../src/base/text/format.ts";

const SECOND = 1_000_000n;
const NOW = 1795350902_752697n;

describe("formatTimestamp", () => {
  test("writes weekday, date, time and zone", () => {
    expect(formatTimestamp(NOW, UTC)).toBe("Sun 2026-11-22 12:35:02 UTC");
  });

  test("uses the offset and the name of the time zone", () => {
    const tokyo = () => ({ offsetSeconds: 9 * 3600, abbreviation: "JST" });
    expect(formatTimestamp(NOW + 43_200n * SECOND, tokyo)).toBe("Mon 2026-11-23 09:35:02 JST");
  });

  test("returns an empty text for 'never' and for times outside the calendar", () => {
    expect([0n, UINT64_MAX, UINT64_MAX - 1n].map((usec) => formatTimestamp(usec, UTC))).toEqual(["", "", ""]);
    const lastSecond = 253_402_300_799n * SECOND;
    expect(formatTimestamp(lastSecond, UTC)).toBe("Fri 9999-12-31 23:59:59 UTC");
    expect(formatTimestamp(lastSecond + SECOND, UTC)).toBe("");
  });
});

describe("formatRelative", () => {
  const cases: [seconds: number, text: string][] = [
    [0.000_007, "7us ago"],
    [0.507, "507ms ago"],
    [4, "4s ago"],
    [95, "1min 35s ago"],
    [299, "4min 59s ago"],
    [300, "5min ago"],
    [3 * 3600 + 5 * 60, "3h 5min ago"],
    [6 * 3600 - 1, "5h 59min ago"],
    [7 * 3600 + 59, "7h ago"],
    [24 * 3600, "24h ago"],
    [26 * 3600, "1 day 2h ago"],
    [2 * 86_400, "2 days ago"],
    [9 * 86_400, "1 week 2 days ago"],
    [7 * 86_400, "1 week 0 days ago"],
    [2_629_800 + 3 * 86_400, "1 month 3 days ago"],
    [2 * 31_557_600 + 2_629_800, "2 years 1 month ago"],
  ];
  for (const [seconds, text] of cases) {
    test(`${seconds} s is "${text}"`, () => {
      expect(formatRelative(NOW, NOW + BigInt(Math.round(seconds * 1e6)))).toBe(text);
    });
  }

  test("writes '… left' for a time in the future, and 'now'", () => {
    expect(formatRelative(NOW + 90n * SECOND, NOW)).toBe("1min 30s left");
    expect(formatRelative(NOW, NOW)).toBe("now");
    expect(formatRelative(0n, NOW)).toBe("");
  });
});

test("formatSpan writes whole units, and a fraction only below a minute", () => {
  const spans = [0n, 1n, 1500n, SECOND, 1_500_000n, 90n * SECOND, 86_400n * SECOND, 3_661n * SECOND, UINT64_MAX];
  expect(spans.map(formatSpan)).toEqual([
    "0",
    "1us",
    "1.500ms",
    "1s",
    "1.500000s",
    "1min 30s",
    "1d",
    "1h 1min 1s",
    "infinity",
  ]);
});

test("formatBytes has one decimal at most", () => {
  const sizes = [0n, 78n, 1023n, 1024n, 36_864n, 1_031_680n, 8_392_704n, 3n << 40n, UINT64_MAX];
  expect(sizes.map(formatBytes)).toEqual(["0B", "78B", "1023B", "1K", "36K", "1007.5K", "8M", "3T", ""]);
});

describe("ellipsize", () => {
  test("leaves a text unchanged that fits", () => expect(ellipsize("container", 9, "…")).toBe("container"));
  test("puts the ellipsis at the end by default", () => expect(ellipsize("container", 8, "…")).toBe("contain…"));
  test("puts the ellipsis at 90 percent of the width where 90 is given", () => {
    expect(ellipsize("Debian GNU/Linux 12 alpha pts/0", 30, "…", 90)).toBe("Debian GNU/Linux 12 alpha …s/0");
  });
  test("uses three dots where the ellipsis is three dots (no UTF-8)", () =>
    expect(ellipsize("MACHINE", 6, "...")).toBe("MAC..."));
  test("does not exceed a width that is smaller than the ellipsis", () => {
    expect([0, 1, 2].map((width) => ellipsize("abc def", width, "..."))).toEqual(["", ".", ".."]);
    expect(ellipsize("abc", 0, "…")).toBe("");
  });
  test("counts terminal columns, not characters", () => {
    expect(displayWidth("日本")).toBe(4);
    expect(ellipsize("日本語", 4, "…")).toBe("日…");
  });
});
