import { expect, test } from "bun:test";
import { editDistance, suggest } from "../../../../src/cli/command-line/suggest.ts";

const VERBS = ["list", "status", "show", "start", "poweroff", "stop", "reboot", "restart", "terminate", "kill"];

test("edits are changes, insertions, deletions and swaps of neighbours", () => {
  expect([editDistance("list", "lst"), editDistance("list", "lsit"), editDistance("", "ab")]).toEqual([1, 1, 2]);
  expect(editDistance("kitten", "sitting")).toBe(3);
});

test("a prefix suggests the shortest word that begins with it", () => {
  expect(suggest("s", VERBS)).toBe("show");
  expect(suggest("sta", VERBS)).toBe("start");
  expect(suggest("", VERBS)).toBe("list");
});

test("without a prefix the first of the nearest words within five edits is suggested (C30)", () => {
  expect(suggest("lst", VERBS)).toBe("list");
  expect(suggest("rebot", VERBS)).toBe("reboot");
  expect(suggest("frobnicate", ["list", "status"])).toBeUndefined();
});
