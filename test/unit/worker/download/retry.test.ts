import { expect, test } from "bun:test";
import { retryAfter } from "../../../../src/worker/download/retry.ts";

const NOW = Date.parse("Sat, 28 Nov 2026 04:00:00 GMT");

for (const [what, headers, wanted] of [
  ["seconds", { "Retry-After": "120" }, 120_000],
  ["spaces around seconds", { "Retry-After": " 5 " }, 5000],
  ["a date", { "Retry-After": "Sat, 28 Nov 2026 04:00:30 GMT" }, 30_000],
  [
    "a date, relative to the server's Date",
    { "Retry-After": "Mon, 01 Jan 2001 00:00:09 GMT", Date: "Mon, 01 Jan 2001 00:00:00 GMT" },
    9000,
  ],
  ["a date in an old format", { "Retry-After": "Saturday, 28-Nov-26 04:00:10 GMT" }, 10_000],
  ["a date in the past", { "Retry-After": "Sat, 28 Nov 2026 03:00:00 GMT" }, 0],
  ["a negative number", { "Retry-After": "-5" }, 0],
  ["no number", { "Retry-After": "soon" }, 0],
  ["a number with very many digits", { "Retry-After": "9".repeat(40) }, 0],
  ["nothing", {}, 0],
] as const) {
  test(`Retry-After with ${what}`, () => expect(retryAfter(new Headers(headers), NOW)).toBe(wanted));
}
