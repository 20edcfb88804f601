import { expect, test } from "bun:test";
import { formatJson, parseJson } from "../../../../src/base/text/json.ts";

test("a string ends at the first quote that is not escaped by a backslash", () => {
  for (const text of ["", '"', "\\", '\\"', '\\\\"', 'a"b\\', "\u{1f600}", "\\".repeat(1000)]) {
    expect(parseJson(JSON.stringify({ a: text, b: text })).value).toEqual({ a: text, b: text });
  }
  for (const text of ['"', '"\\"', '"\\\\\\"', '"a\nb"', '"\\x"', '"\\u12"', '"a" "b"']) {
    expect(() => parseJson(text)).toThrow(SyntaxError);
  }
});

test("a string of 15 MiB, the size of a large message, is encoded and parsed", () => {
  const long = 'x"\\'.repeat(5 << 20);
  expect(parseJson(formatJson({ long })).value).toEqual({ long });
});
