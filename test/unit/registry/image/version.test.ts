import { expect, test } from "bun:test";
import { compareEntries, compareVersions, parseVersionedEntry } from "../../../../src/registry/image/version.ts";

test.each([
  ["1", "2"],
  ["2", "10"],
  ["1.2", "1.10"],
  ["1~rc1", "1"],
  ["1~rc1", "1~rc2"],
  ["1", "1.1"],
  ["122.1", "123~rc1-1"],
  ["123~rc1-1", "123"],
  ["123", "123-a"],
  ["123-a", "123-a.1"],
  ["123-a.1", "123^post1"],
  ["123-a-1", "123-a.1"],
  ["a", "1"],
  ["abc", "abd"],
  ["1.0", "1.0a"],
  ["007", "8"],
])("version %p is older than %p", (older, newer) => {
  expect(compareVersions(older, newer)).toBeLessThan(0);
  expect(compareVersions(newer, older)).toBeGreaterThan(0);
});

test("versions that differ only in leading zeros and separators are equal", () => {
  expect(compareVersions("1.01", "1.1")).toBe(0);
  expect(compareVersions("1_0", "1+0")).toBe(0);
  expect(compareVersions("", "")).toBe(0);
});

test("the name of an entry has version, architecture and attempts", () => {
  expect(parseVersionedEntry("foo_1.2.raw", "foo", ".raw")).toMatchObject({ version: "1.2", triesLeft: null });
  expect(parseVersionedEntry("foo_7+3-2.raw", "foo", ".raw")).toMatchObject({
    version: "7",
    triesLeft: 3,
    triesDone: 2,
  });
  expect(parseVersionedEntry("foo_7+0", "foo", "")).toMatchObject({ version: "7", triesLeft: 0, triesDone: 0 });
  const ours = process.arch === "arm64" ? "arm64" : "x86-64";
  expect(parseVersionedEntry(`foo_7_${ours}.raw`, "foo", ".raw")).toMatchObject({ version: "7", foreignness: 0 });
});

test.each([
  ["another name", "bar_1.raw"],
  ["no version", "foo.raw"],
  ["an empty version", "foo_.raw"],
  ["another form", "foo_1"],
  ["another architecture", "foo_1_sparc64.raw"],
  ["a version with a blank", "foo_1 2.raw"],
])("the entry is not a version of the image: %s", (_why, entry) => {
  expect(parseVersionedEntry(entry, "foo", ".raw")).toBeNull();
});

test("entries are sorted: newest first, the own architecture before a generic one, those without attempts left last", () => {
  const ours = process.arch === "arm64" ? "arm64" : "x86-64";
  const entries = ["foo_1", "foo_3+0", "foo_2+1-4", "foo_2+5", `foo_2_${ours}`, "foo_10+0-9"];
  const sorted = entries
    .map((entry) => parseVersionedEntry(entry, "foo", ""))
    .filter((entry) => entry !== null)
    .sort(compareEntries)
    .map(({ entry }) => entry);
  expect(sorted).toEqual([`foo_2_${ours}`, "foo_2+5", "foo_2+1-4", "foo_1", "foo_10+0-9", "foo_3+0"]);
});
