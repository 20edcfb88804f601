import { expect, test } from "bun:test";
import { existsSync, mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { FileLock, lockWhole } from "../../../src/kernel/file/lock.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { MANY, scratchDirectory } from "../support.ts";

const directory = scratchDirectory();
const path = join(directory, "lock");

test("an exclusive lock prevents all other locks, and its file is removed with it", () => {
  {
    using _lock = FileLock.take(path, "exclusive");
    expect(existsSync(path)).toBe(true);
    expect(() => FileLock.take(path, "exclusive")).toThrow("Device or resource busy");
    expect(() => FileLock.take(path, "shared")).toThrow("Device or resource busy");
  }
  expect(existsSync(path)).toBe(false);
});

test("several shared locks are possible, and the last one removes the file", () => {
  const one = FileLock.take(path, "shared");
  const two = FileLock.take(path, "shared");
  expect(() => FileLock.take(path, "exclusive")).toThrow("Device or resource busy");
  one[Symbol.dispose]();
  expect(existsSync(path)).toBe(true);
  two[Symbol.dispose]();
  two[Symbol.dispose]();
  expect(existsSync(path)).toBe(false);
});

test("the lock is a record lock, as other programs take it, not a flock(2)", () => {
  const script = `import fcntl,struct,sys
f = open(sys.argv[1], "a")
try:
    fcntl.fcntl(f, 37, struct.pack("hhqqi4x", fcntl.F_WRLCK, 0, 0, 0, 0)); print("record free")
except OSError as e: print("record busy")
fcntl.flock(f, fcntl.LOCK_EX | fcntl.LOCK_NB); print("flock free")`;
  using _lock = FileLock.take(path, "exclusive");
  expect(Bun.spawnSync(["python3", "-c", script, path]).stdout.toString()).toBe("record busy\nflock free\n");
});

test("the lock of a directory is held while the descriptor is open", () => {
  mkdirSync(join(directory, "dir"));
  const one = openPath(join(directory, "dir"), "directory");
  using two = openPath(join(directory, "dir"), "directory");
  expect(lockWhole(one)).toBe(true);
  expect(lockWhole(two)).toBe(false);
  one.close();
  expect(lockWhole(two)).toBe(true);
});

test("locking stays correct in a hot loop", () => {
  const before = openDescriptors();
  // On tmpfs: on a disk the test would take as long as the disk does.
  const hot = `/dev/shm/machined-lock-test-${process.pid}`;
  for (let i = 0; i < MANY; i++) {
    using _lock = FileLock.take(hot, i % 2 === 0 ? "shared" : "exclusive");
  }
  expect(existsSync(hot)).toBe(false);
  expectNothingLeft(before);
});

test("disposing of a lock twice, or of one whose file was replaced, does not remove the next lock's file", () => {
  const first = FileLock.take(path, "exclusive");
  first[Symbol.dispose]();
  using second = FileLock.take(path, "exclusive");
  first[Symbol.dispose]();
  expect(existsSync(path)).toBe(true);
  renameSync(path, `${path}.old`);
  using _third = FileLock.take(path, "exclusive");
  second[Symbol.dispose]();
  expect(existsSync(path)).toBe(true);
});
