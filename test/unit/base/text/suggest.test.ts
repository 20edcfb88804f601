import { expect, test } from "bun:test";
import { editDistance, suggest, suggestOption } from "../../../../src/base/text/suggest.ts";

const VERBS = ["list", "status", "show", "start", "poweroff", "stop", "reboot", "restart", "terminate", "kill"];

test("the distance of two words counts changes, insertions, deletions and swaps of neighbouring letters", () => {
  expect([editDistance("list", "lst"), editDistance("list", "lsit"), editDistance("", "ab")]).toEqual([1, 1, 2]);
  expect(editDistance("kitten", "sitting")).toBe(3);
});

test("for a prefix, the shortest word that begins with it is suggested", () => {
  expect(suggest("s", VERBS)).toBe("show");
  expect(suggest("sta", VERBS)).toBe("start");
  expect(suggest("", VERBS)).toBe("list");
});

test("what was typed of a word with several parts may be its first part", () => {
  expect(suggest("lst", ["help", "list-images"])).toBe("list-images");
  expect(suggest("lst", ["list-images", "list"])).toBe("list-images");
  expect(suggest("lst", ["list", "list-images"])).toBe("list");
  expect(suggest("impotr", ["help", "import-tar"])).toBe("import-tar");
  expect(suggest("ab", ["cd-images"])).toBeUndefined();
});

test("for other words, the first of the nearest words at a distance of at most five is suggested (C30)", () => {
  expect(suggest("lst", VERBS)).toBe("list");
  expect(suggest("rebot", VERBS)).toBe("reboot");
  expect(suggest("frobnicate", ["list", "status"])).toBeUndefined();
});

test("an option is suggested with its dashes, and only a similar one", () => {
  const options = ["json", "all", "n"];
  expect(["jsn", "josn", "jsonx"].map((typed) => suggestOption(typed, options))).toEqual([
    "--json",
    "--json",
    "--json",
  ]);
  expect(["frobnicate", "x", "m"].map((typed) => suggestOption(typed, options))).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});
