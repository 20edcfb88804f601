import { expect, test } from "bun:test";
import { globMatcher } from "../../../../src/base/text/glob.ts";

const CASES: readonly (readonly [pattern: string, text: string, matches: boolean])[] = [
  ["web*", "web1", true],
  ["web*", "my-web", false],
  ["*", "", true],
  ["*", "https://host/path", true],
  ["?", "", false],
  ["?*", "a/b", true],
  ["*.example.*", "a.example.com", true],
  ["a*b*c", "a-b-b-c", true],
  ["a*b*c", "a-c-b", false],
  ["[wd]eb", "deb", true],
  ["[!wd]eb", "deb", false],
  ["[^a-c]x", "dx", true],
  ["m[0-9]", "m7", true],
  ["m[0-9]", "mx", false],
  ["[]]", "]", true],
  ["[a-]", "-", true],
  ["web[[:digit:]]", "web7", true],
  ["web[[:digit:]]", "webx", false],
  ["web[![:digit:]-]", "webx", true],
  ["web[![:digit:]-]", "web-", false],
  ["[[:upper:][:space:]_]x", "_x", true],
  ["[[:alpha:]]", "ü", true],
  ["[[:digit]", ":", true],
  ["[\\]]", "]", true],
  ["[\\]a]", "a", true],
  ["[a\\-c]", "-", true],
  ["[a\\-c]", "b", false],
  ["[\\a-c]", "b", true],
  ["[", "[", true],
  ["[ab", "[ab", true],
  ["\\*", "*", true],
  ["\\*", "a", false],
  ["ü?", "üß", true],
  ["?", "😀", true],
  ["", "", true],
  ["", "a", false],
];

for (const [pattern, text, matches] of CASES) {
  test(`'${pattern}' ${matches ? "matches" : "does not match"} '${text}'`, () => {
    expect(globMatcher(pattern)(text)).toBe(matches);
  });
}

test("matching a pattern with many stars takes at most (length of pattern × length of text) steps", () => {
  expect(globMatcher(`${"*a".repeat(200)}b`)("a".repeat(5000))).toBeFalse();
});
