import { expect, test } from "bun:test";
import { parseUnsigned } from "../../../../src/base/text/number.ts";

test("unsigned numbers are read in the base of their prefix, with blanks and a sign before them", () => {
  const texts = ["0", "7", " 7", "\t7", "+7", "-0", "0x1F", "0b11", "0o17", "017", "4294967295"];
  expect(texts.map(parseUnsigned)).toEqual([0, 7, 7, 7, 7, 0, 31, 3, 15, 15, 4294967295]);
});

test("other text is no unsigned number", () => {
  const texts = ["", " ", "7 ", "-1", "08", "0x", "1e1", "1_0", "4294967296", "- 1", "seven", "1.5"];
  expect(texts.filter((text) => parseUnsigned(text) !== undefined)).toEqual([]);
});
