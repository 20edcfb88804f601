// Time spans of options such as --timeout=.
import { expect, test } from "bun:test";
import { parseSpanMs } from "../../../../src/base/text/span.ts";

test("a very short span is one millisecond, and not 0, which means no limit", () => {
  expect(["0", "0s", "0.4ms", "1us", "0.0001"].map(parseSpanMs)).toEqual([0, 0, 1, 1, 1]);
});

test("a span that is too long for a number, and an unknown unit, are refused", () => {
  expect(["300000y", "1 fortnight", "1 Min", "toString"].map(parseSpanMs)).toEqual([
    undefined,
    undefined,
    undefined,
    undefined,
  ]);
});
