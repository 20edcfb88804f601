import { expect, test } from "bun:test";
import { formatJson, parseJson } from "../../../src/base/json.ts";

test("strings end at the first quote that no backslash takes away", () => {
  for (const text of ["", '"', "\\", '\\"', '\\\\"', 'a"b\\', "\u{1f600}", "\\".repeat(1000)]) {
    expect(parseJson(JSON.stringify({ a: text, b: text })).value).toEqual({ a: text, b: text });
  }
  for (const text of ['"', '"\\"', '"\\\\\\"', '"a\nb"', '"\\x"', '"\\u12"', '"a" "b"']) {
    expect(() => parseJson(text)).toThrow(SyntaxError);
  }
});

test("a string may be as long as a message", () => {
  const long = 'x"\\'.repeat(5 << 20);
  expect(parseJson(formatJson({ long })).value).toEqual({ long });
});
