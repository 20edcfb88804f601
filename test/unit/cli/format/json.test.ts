import { expect, test } from "bun:test";
import { formatJson } from "../../../../src/cli/format/json.ts";
import { asWritten } from "../../../../src/cli/format/own-sequence.ts";
import { parseJson } from "../../../../src/cli/format/parse-json.ts";
import { NO_PAINT, readTerminal } from "../../../../src/cli/format/terminal.ts";

const VALUE = { a: [1, { b: null }], c: "x\n\u001bé", d: 18446744073709551615n, e: [], f: {}, g: true };

test("JSON on one line has integers of any size unchanged", () => {
  const text = formatJson(VALUE, "short", NO_PAINT);
  expect(text).toBe('{"a":[1,{"b":null}],"c":"x\\n\\u001bé","d":18446744073709551615,"e":[],"f":{},"g":true}\n');
  expect(JSON.parse(text).a).toEqual([1, { b: null }]);
});

test("control characters that JSON allows are escaped, so that the output stays JSON where they are not printed", () => {
  const value = { "a\u007f": "\u009b2J\u0080" };
  const written = asWritten(formatJson(value, "short", NO_PAINT));
  expect(written).toBe('{"a\\u007f":"\\u009b2J\\u0080"}\n');
  expect(JSON.parse(written)).toEqual(value);
});

test("pretty JSON is indented with tabs and has blanks around colons (C21)", () => {
  expect(formatJson({ a: [1, {}], b: [] }, "pretty", NO_PAINT)).toBe(
    '{\n\t"a" : [\n\t\t1,\n\t\t{}\n\t],\n\t"b" : []\n}\n',
  );
});

test("sequences and events have their separators before and after each value (C22)", () => {
  expect(asWritten(formatJson([], "seq", NO_PAINT))).toBe("\u001e[]\n");
  expect(formatJson([], "sse", NO_PAINT)).toBe("data: []\n\n");
});

test("the colour of a string begins and ends inside its quotes", () => {
  const { paint } = readTerminal({ SYSTEMD_COLORS: "1" }, { stdout: false, stderr: false, columns: () => undefined });
  expect(asWritten(formatJson({ k: "v", n: 1, t: true }, "short", paint))).toBe(
    '{"\u001b[0;32mk\u001b[0m":"\u001b[0;32mv\u001b[0m",' +
      '"\u001b[0;32mn\u001b[0m":\u001b[0;1;34m1\u001b[0m,"\u001b[0;32mt\u001b[0m":\u001b[0;1;39mtrue\u001b[0m}\n',
  );
});

test("integers that a double cannot represent are parsed without loss", () => {
  const value = { most: 18_446_744_073_709_551_615n, few: 7, half: 0.5 };
  expect(parseJson(formatJson(value, "short", NO_PAINT))).toEqual(value);
});
