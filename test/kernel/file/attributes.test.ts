import { expect, test } from "bun:test";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  attributeNames,
  changeFileFlags,
  createdUsec,
  FILE_FLAG,
  fileFlags,
  getAttribute,
  makeMutable,
  noteCreated,
  pathOf,
  removeAttribute,
  setAttribute,
  writeObstacle,
} from "../../../src/kernel/file/attributes.ts";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { renameNew } from "../../../src/kernel/tree/link.ts";
import { MANY, rootTest } from "../support.ts";
import { run, treeDirectory } from "../tree-support.ts";

const directory = treeDirectory();
const path = join(directory, "file");
writeFileSync(path, "x");

test("extended attributes are set, listed, read and removed, also through O_PATH descriptors", () => {
  for (const mode of ["read", "path"] as const) {
    using file = openPath(path, mode);
    expect(getAttribute(file, "user.a")).toBeNull();
    setAttribute(file, "user.a", Buffer.from("\0value\xff", "latin1"));
    expect(attributeNames(file)).toContain("user.a");
    expect(getAttribute(file, "user.a")?.toString("latin1")).toBe("\0value\xff");
    removeAttribute(file, "user.a");
    removeAttribute(file, "user.a");
    expect(getAttribute(file, "user.a")).toBeNull();
  }
});

test("the creation time of a file is the file system's, or an older one that was stored in an attribute", () => {
  using file = openPath(path, "read");
  const born = createdUsec(file) ?? 0n;
  expect(Math.abs(Number(born) / 1000 - Date.now())).toBeLessThan(60_000);
  noteCreated(file, 1_000_000n);
  expect(createdUsec(file)).toBe(1_000_000n);
  noteCreated(file, born + 1n);
  expect(createdUsec(file)).toBe(born);
  // The attribute has no sign.
  noteCreated(file, -1n);
  expect(createdUsec(file)).toBe(born);
});

test("the path of a descriptor is returned with symbolic links resolved", () => {
  mkdirSync(join(directory, "real"));
  symlinkSync("real", join(directory, "link"));
  using file = openPath(join(directory, "link"), "path");
  expect(pathOf(file)).toBe(join(directory, "real"));
});

rootTest("the immutable flag prevents writing, and can be removed", () => {
  mkdirSync(join(directory, "immutable"));
  using parent = openPath(directory, "directory");
  using file = openPath(join(directory, "immutable"), "directory");
  expect(writeObstacle(parent, "immutable")).toBeNull();
  changeFileFlags(file, { set: FILE_FLAG.immutable });
  expect((fileFlags(file) ?? 0) & FILE_FLAG.immutable).not.toBe(0);
  expect(run("lsattr", "-d", join(directory, "immutable"))).toMatch(/^-*i/);
  expect(writeObstacle(parent, "immutable")).toBe("EPERM");
  makeMutable(file);
  expect(writeObstacle(parent, "immutable")).toBeNull();
  expect(writeObstacle(parent, "nothing")).toBe("other");
  using proc = openPath("/proc/self", "directory");
  expect(fileFlags(proc)).toBeNull();
});

test("a rename that would replace a file is refused", () => {
  using parent = openPath(directory, "directory");
  writeFileSync(join(directory, "one"), "1");
  writeFileSync(join(directory, "two"), "2");
  const place = (name: string) => ({ directory: parent, name });
  expect(() => renameNew(place("one"), place("two"))).toThrow("File exists");
  renameNew(place("one"), place("three"));
  expect(run("cat", join(directory, "two"), join(directory, "three"))).toBe("21");
});

test("attributes stay correct in a hot loop", () => {
  using file = openPath(path, "read");
  using parent = openPath(directory, "directory");
  const value = Buffer.alloc(8);
  for (let i = 0; i < MANY; i++) {
    if (writeObstacle(parent, "file") !== null) throw new Error(`wrong obstacle at ${i}`);
    if (fileFlags(file) === undefined) throw new Error(`no flags at ${i}`);
    if (i % 10 !== 0) continue;
    value.writeUInt32LE(i);
    setAttribute(file, "user.hot", value);
    if (getAttribute(file, "user.hot")?.readUInt32LE() !== i) throw new Error(`wrong value at ${i}`);
  }
});
