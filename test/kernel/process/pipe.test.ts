// Pipes.
import { expect, test } from "bun:test";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { openPipe, readToEnd, widenPipe } from "../../../src/kernel/process/pipe.ts";

test("a pipe is enlarged as far as the user's limit allows, and never made smaller", () => {
  const [read, write] = openPipe();
  using _read = read;
  using _write = write;
  const [first, second] = [widenPipe(write), widenPipe(read)];
  // For a user that has many pipes already, the kernel keeps new ones small.
  expect(first).toBeGreaterThanOrEqual(4096);
  expect(second).toBe(first);
  if (process.geteuid?.() === 0) expect(first).toBe(1 << 20);
});

test("a file that is no pipe is unchanged", () => {
  using file = openPath("/dev/null", "read");
  expect(widenPipe(file)).toBeNull();
});

test("a file that cannot be watched is closed", () => {
  using file = openPath(import.meta.path, "read");
  expect(() => readToEnd(file, 1)).toThrow("Operation not permitted");
  expect(file.isOpen).toBe(false);
});
