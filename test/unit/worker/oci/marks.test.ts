// The marks of a layer: one that cannot be set is never left out by mistake.
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { markOf, setMark, YES } from "../../../../src/worker/oci/marks.ts";

const scratch = mkdtempSync(join(tmpdir(), "marks-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("a mark is set, or false is returned where a kind of file has none; any other reason is an error", () => {
  writeFileSync(join(scratch, "file"), "");
  using file = openPath(join(scratch, "file"), "read-write");
  expect([setMark(file, "order", Buffer.from("1")), markOf(file, "order")?.toString()]).toEqual([true, "1"]);
  expect(setMark(file, "hardlink", Buffer.alloc(70_000))).toBe(false);
  // No attribute can be set by such a descriptor.
  using named = openPath(join(scratch, "file"), "path");
  expect(() => setMark(named, "implied", YES)).toThrow("Bad file descriptor");
});
