import { expect, test } from "bun:test";
import {
  appendFileSync,
  chmodSync,
  mkdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { StatusSet } from "../../../src/kernel/file/status-set.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { MANY, scratchDirectory } from "../support.ts";

const top = scratchDirectory();
const at = (name: string) => join(top, name);

test("every change of an entry is detected, and other changes are not reported", () => {
  writeFileSync(at("file"), "text");
  mkdirSync(at("tree"));
  writeFileSync(at("elsewhere"), "");
  symlinkSync("elsewhere", at("link"));
  symlinkSync("nowhere", at("dangling"));
  const entries = ["file", "tree", "link", "dangling", "missing", "ümläut"];
  using directory = openPath(top, "directory");
  const changes: readonly (() => void)[] = [
    () => appendFileSync(at("file"), "more"),
    () => chmodSync(at("file"), 0o400),
    () => utimesSync(at("file"), 1, 2),
    () => utimesSync(at("tree"), 1, 2),
    () => chmodSync(at("elsewhere"), 0o600),
    () => writeFileSync(at("nowhere"), ""),
    () => mkdirSync(at("missing")),
    () => rmSync(at("missing"), { recursive: true }),
    () => writeFileSync(at("ümläut"), ""),
  ];
  for (const [index, change] of changes.entries()) {
    const set = new StatusSet(directory, entries);
    expect([index, set.isUnchanged(directory)]).toEqual([index, true]);
    readFileSync(at("file"));
    writeFileSync(at("stranger"), String(index));
    expect([index, set.isUnchanged(directory)]).toEqual([index, true]);
    change();
    expect([index, set.isUnchanged(directory)]).toEqual([index, false]);
  }
});

test("an empty set never reports a change", () => {
  using directory = openPath(top, "directory");
  expect(new StatusSet(directory, []).isUnchanged(directory)).toBe(true);
});

test("the result stays correct in a hot loop, and no descriptor stays open", () => {
  writeFileSync(at("hot"), "");
  using directory = openPath(top, "directory");
  const set = new StatusSet(directory, ["hot", "tree", "none"]);
  const before = openDescriptors();
  for (let i = 0; i < MANY; i++) if (!set.isUnchanged(directory)) throw new Error(`wrong at ${i}`);
  appendFileSync(at("hot"), "x");
  expect(set.isUnchanged(directory)).toBe(false);
  expectNothingLeft(before);
});
