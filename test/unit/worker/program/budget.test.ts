// All parts of a transfer share one budget.
import { expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { Budget } from "../../../../src/worker/program/budget.ts";
import { rootTest, scratchDirectory } from "../../../kernel/support.ts";

const MEBIBYTE = 1 << 20;
const scratch = scratchDirectory();

test("parts that are each below the limit are stopped when their sum exceeds it", () => {
  using directory = openPath(tmpdir(), "directory");
  const budget = new Budget({ writtenBytes: 10 * MEBIBYTE });
  const make = () => budget.part(directory, { limitBytes: 4 * MEBIBYTE }).wrote(3 * MEBIBYTE);
  make();
  make();
  make();
  expect(make).toThrow("File overly large, refusing.");
});

test("the limit on the number of files holds for all parts together", () => {
  using directory = openPath(tmpdir(), "directory");
  const budget = new Budget({ entries: 5 });
  for (let part = 0; part < 5; part++) budget.part(directory).entered(512);
  expect(budget.entries).toBe(5);
  expect(budget.written).toBe(5 * 512);
  expect(() => budget.part(directory).entered(512)).toThrow("Transfer makes more than 5 files, refusing.");
});

test("the free space is also checked after many small parts", () => {
  using directory = openPath(tmpdir(), "directory");
  const budget = new Budget();
  const make = () => budget.part(directory, { reserveBytes: Number.MAX_SAFE_INTEGER }).wrote(5 * MEBIBYTE);
  for (let part = 0; part < 12; part++) make();
  expect(make).toThrow(/^Disk is full/);
});

test("a part without a reserve does not replace the check of free space for the others", () => {
  using directory = openPath(tmpdir(), "directory");
  const budget = new Budget();
  const first = budget.part(directory, { reserveBytes: 0 });
  const second = budget.part(directory, { reserveBytes: Number.MAX_SAFE_INTEGER });
  first.wrote(70 * MEBIBYTE);
  expect(() => second.wrote(1)).toThrow(/^Disk is full/);
  first.wrote(70 * MEBIBYTE);
});

rootTest("a file system without a size is never full", () => {
  const mount = join(scratch, "unlimited");
  mkdirSync(mount);
  expect(Bun.spawnSync(["mount", "-t", "tmpfs", "-o", "size=0", "tmpfs", mount]).exitCode).toBe(0);
  try {
    using directory = openPath(mount, "directory");
    const part = new Budget().part(directory);
    part.wrote(70 * MEBIBYTE);
    expect(part.lacking(70 * MEBIBYTE)).toBeNull();
  } finally {
    Bun.spawnSync(["umount", "-l", mount]);
  }
});

test("a worker creates one Budget", () => {
  const root = join(import.meta.dir, "../../../../src");
  const sources = readdirSync(root, { recursive: true }).map(String);
  const found = sources.flatMap((path) => {
    if (!path.endsWith(".ts")) return [];
    const lines = readFileSync(join(root, path), "utf8").match(/new (Budget|Spending)\(.*/g) ?? [];
    return lines.map((line) => `${path}: ${line}`);
  });
  expect(found.sort()).toEqual([
    "worker/program/budget.ts: new Budget();",
    "worker/program/budget.ts: new Spending(this, directory, limits);",
  ]);
});
