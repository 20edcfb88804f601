import { afterAll, expect, test } from "bun:test";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileLock } from "../../../../src/kernel/file/lock.ts";
import { lockImage, lockName } from "../../../../src/registry/image/lock.ts";
import { holdLock } from "../../../lib/held-lock.ts";

const base = mkdtempSync(join(tmpdir(), "image-lock-"));
afterAll(() => rmSync(base, { recursive: true, force: true }));
const locks = join(base, "run/locks");
const image = join(base, "image");
mkdirSync(image);

test("M158: an image is locked by a lock file beside it and one named after its inode, with record locks", () => {
  const { dev, ino } = statSync(image, { bigint: true });
  {
    using _lock = lockImage(locks, image, "exclusive");
    expect(readdirSync(locks)).toEqual([`inode-${dev}:${ino}`]);
    expect(existsSync(join(base, ".#image.lck"))).toBe(true);
    expect(() => lockImage(locks, image, "shared")).toThrow("Device or resource busy");
  }
  expect(readdirSync(locks)).toEqual([]);
  expect(existsSync(join(base, ".#image.lck"))).toBe(false);
});

test("M158: a holder of either lock prevents locking, and locks taken before are released", () => {
  const { dev, ino } = statSync(image, { bigint: true });
  {
    using _theirs = FileLock.take(join(locks, `inode-${dev}:${ino}`), "shared");
    expect(() => lockImage(locks, image, "exclusive")).toThrow("Device or resource busy");
    expect(existsSync(join(base, ".#image.lck"))).toBe(false);
    lockImage(locks, image, "shared")[Symbol.dispose]();
  }
  using _theirs = FileLock.take(join(base, ".#image.lck"), "exclusive");
  expect(() => lockImage(locks, image, "shared")).toThrow("Device or resource busy");
});

test("M158: a flock(2) on the lock file does not prevent locking", async () => {
  writeFileSync(join(base, ".#image.lck"), "");
  await using _held = await holdLock(join(base, ".#image.lck"));
  lockImage(locks, image, "exclusive")[Symbol.dispose]();
});

test("the host's own tree cannot be locked exclusively; a shared lock succeeds without a lock file", () => {
  expect(() => lockImage(locks, "/", "exclusive")).toThrow("Device or resource busy");
  lockImage(locks, "/", "shared")[Symbol.dispose]();
  expect(() => lockName(locks, ".host")).toThrow("Device or resource busy");
});

test("a name can be locked by one holder only", () => {
  using _name = lockName(locks, "new");
  expect(readdirSync(locks)).toEqual(["name-new"]);
  expect(() => lockName(locks, "new")).toThrow("Device or resource busy");
});

test("names that are too long for a lock file are locked by a derived name", () => {
  const long = join(base, "x".repeat(255));
  mkdirSync(long);
  using _lock = lockImage(locks, long, "exclusive");
  expect(() => lockImage(locks, long, "exclusive")).toThrow("Device or resource busy");
  lockName(locks, "y".repeat(255))[Symbol.dispose]();
});

test("where there is no directory for locks, locking succeeds without effect", () => {
  using _one = lockImage(null, image, "exclusive");
  using _two = lockImage(null, image, "exclusive");
  expect(readdirSync(locks).filter((name) => name.startsWith("name"))).toEqual([]);
});
