// Copies of disk images whose source changes meanwhile.
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { copyRaw } from "../../../../src/worker/image/write-raw.ts";

const directory = mkdtempSync(join(tmpdir(), "write-raw-"));
/** On another file system, or on one without shared data, so that the data is copied in steps. */
const memory = mkdtempSync("/dev/shm/write-raw-");
afterAll(() => {
  for (const path of [directory, memory]) rmSync(path, { recursive: true, force: true });
});

test("a source that becomes shorter while it is copied is an error, and not a shorter image", async () => {
  const path = join(directory, "source");
  writeFileSync(path, Buffer.alloc(20 << 20, 7));
  using source = openPath(path, "read");
  writeFileSync(join(memory, "target"), "");
  using target = openPath(join(memory, "target"), "read-write");
  await expect(copyRaw(source, target, () => truncateSync(path, 1000))).rejects.toThrow("became shorter");
});
