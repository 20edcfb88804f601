// What a walk stores in little memory: names in their order, and files with several names, of any number.

import { afterAll, expect, test } from "bun:test";
import { linkSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, unlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { copyTree } from "../../../src/kernel/tree/copy.ts";
import { LinkTable } from "../../../src/kernel/tree/link-table.ts";
import { NameStack } from "../../../src/kernel/tree/name-stack.ts";
import { RawStatus } from "../../../src/kernel/tree/raw-status.ts";

const base = mkdtempSync(join(tmpdir(), "spill-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));

for (const where of ["beside the tree", "elsewhere"] as const) {
  test(`names are popped in reverse order, also those that were written to a file ${where}`, () => {
    using directory = where === "elsewhere" ? null : openPath(base, "directory");
    using stack = new NameStack(directory);
    const expected: string[] = [];
    for (let round = 0; round < 40; round++) {
      for (let index = 0; index < 4000; index++) {
        const name = `${round}-${index}-\xff${"n".repeat(index % 240)}`;
        stack.push(name);
        expected.push(name);
      }
      for (let index = 0; index < 500; index++) expect(stack.pop()).toBe(expected.pop() as string);
    }
    while (expected.length > 0) expect(stack.pop()).toBe(expected.pop() as string);
  });
}

/** The status of a file that does not exist. */
function statusOf(inode: number, born = 0): RawStatus {
  const status = new RawStatus();
  status.memory.view.setBigUint64(32, BigInt(inode), true);
  status.memory.view.setBigUint64(80, BigInt(born), true);
  return status;
}

test("files are found by device and inode, and the last entry for a file counts", () => {
  using directory = openPath(base, "directory");
  using table = new LinkTable(directory);
  const path = (inode: number) => `d/${"p".repeat(inode % 500)}/\xfe${inode}`;
  for (let inode = 0; inode < 20_000; inode++) table.add(statusOf(inode), { path: path(inode), note: `${inode}` });
  for (let inode = 0; inode < 20_000; inode += 7) {
    expect(table.find(statusOf(inode))).toEqual({ path: path(inode), note: `${inode}` });
  }
  expect(table.find(statusOf(20_000))).toBeNull();
  // The inode belongs to another file by now.
  expect(table.find(statusOf(5, 1))).toBeNull();
  table.add(statusOf(5), { path: "later", note: "" });
  expect(table.find(statusOf(5))).toEqual({ path: "later", note: "" });
});

test("more files with several names than the table holds are an error", () => {
  using table = new LinkTable(null, 3);
  for (let inode = 0; inode < 3; inode++) table.add(statusOf(inode), { path: "p", note: "" });
  expect(() => table.add(statusOf(3), { path: "p", note: "" })).toThrow("files with several names");
});

test("a directory with more names than a block holds, and with hard links, is copied", () => {
  const [from, to] = [join(base, "from"), join(base, "to")];
  for (const path of [from, to]) mkdirSync(path);
  const names = Array.from({ length: 3000 }, (_, index) => `${index}${"-".repeat(200)}`);
  for (const name of names) writeFileSync(join(from, name), "");
  for (const name of names.slice(0, 1000)) linkSync(join(from, name), join(from, `again${name}`));
  unlinkSync(join(from, names.at(-1) as string));
  using source = openPath(from, "directory");
  using target = openPath(to, "directory");
  copyTree(source, target);
  expect(readdirSync(to).sort()).toEqual(readdirSync(from).sort());
  for (const name of names.slice(0, 1000)) {
    expect(statSync(join(to, name)).ino).toBe(statSync(join(to, `again${name}`)).ino);
  }
});
