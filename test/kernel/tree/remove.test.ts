import { expect, test } from "bun:test";
import { chmodSync, existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { withIdentity } from "../../../src/kernel/process/namespace.ts";
import { emptyDirectory, removeTree } from "../../../src/kernel/tree/remove.ts";
import { rawOf } from "../../../src/kernel/tree/tree.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { isRoot, MANY, rootTest } from "../support.ts";
import { makeDeep, makeEverything, mountedFileSystem, run, treeDirectory } from "../tree-support.ts";

const directory = treeDirectory();
const btrfs = isRoot ? mountedFileSystem("btrfs", 256) : null;

function remove(parent: string, name: string): void {
  using fd = openPath(parent, "directory");
  removeTree(fd, rawOf(name));
}

rootTest("a tree with every kind of file is removed", () => {
  makeEverything(join(directory, "all"));
  remove(directory, "all");
  expect(existsSync(join(directory, "all"))).toBe(false);
});

test("a single file is removed, and a missing one is no error", () => {
  writeFileSync(join(directory, "file"), "x");
  remove(directory, "file");
  remove(directory, "file");
  expect(existsSync(join(directory, "file"))).toBe(false);
});

test(
  "a tree deeper than PATH_MAX is removed with a few open files",
  () => {
    makeDeep(join(directory, "deep"), 20_000);
    const before = openDescriptors();
    remove(directory, "deep");
    expectNothingLeft(before);
    expect(existsSync(join(directory, "deep"))).toBe(false);
  },
  GUARD_MS,
);

rootTest("immutable and append-only files and directories are removed", () => {
  const top = join(directory, "immutable");
  mkdirSync(join(top, "dir"), { recursive: true });
  for (const name of ["a", "dir/b", "dir/c"]) writeFileSync(join(top, name), "x");
  run("chattr", "+i", join(top, "a"), join(top, "dir/b"));
  run("chattr", "+a", join(top, "dir/c"));
  run("chattr", "+i", join(top, "dir"), top);
  remove(directory, "immutable");
  expect(existsSync(top)).toBe(false);
});

rootTest("a user's tree is removed with directories that the user may not change or read, but no other user's", () => {
  const top = join(directory, "modes");
  mkdirSync(join(top, "usr/bin"), { recursive: true });
  mkdirSync(join(top, "hidden/inner"), { recursive: true });
  for (const name of ["usr/bin/program", "hidden/inner/file"]) writeFileSync(join(top, name), "x");
  run("chown", "-R", "65534:65534", top);
  // As Fedora's images have them.
  for (const name of ["usr/bin", "usr"]) chmodSync(join(top, name), 0o555);
  for (const name of ["hidden/inner", "hidden"]) chmodSync(join(top, name), 0o000);
  chmodSync(top, 0o555);
  mkdirSync(join(directory, "of-root/inner"), { recursive: true });
  using parent = openPath(directory, "directory");
  chmodSync(directory, 0o777);
  const before = openDescriptors();
  withIdentity({ uid: 65534, gid: 65534 }, () => {
    removeTree(parent, rawOf("modes"));
    expect(() => removeTree(parent, rawOf("of-root"))).toThrow("Permission denied");
  });
  expectNothingLeft(before);
  expect(readdirSync(directory)).not.toContain("modes");
  expect(existsSync(join(directory, "of-root/inner"))).toBe(true);
});

rootTest("a mount in a tree is not removed, and the removal fails with an error", () => {
  const top = join(directory, "mounts");
  mkdirSync(join(top, "other"), { recursive: true });
  run("mount", "-t", "tmpfs", "tmpfs", join(top, "other"));
  try {
    writeFileSync(join(top, "other/precious"), "x");
    expect(() => remove(directory, "mounts")).toThrow("Device or resource busy");
    expect(readdirSync(join(top, "other"))).toEqual(["precious"]);
  } finally {
    run("umount", "-l", join(top, "other"));
  }
  remove(directory, "mounts");
  expect(existsSync(top)).toBe(false);
});

test("links are removed, but not their targets", () => {
  mkdirSync(join(directory, "target/kept"), { recursive: true });
  run("ln", "-s", join(directory, "target"), join(directory, "link"));
  mkdirSync(join(directory, "around"));
  run("ln", "-s", "../target", join(directory, "around/link"));
  remove(directory, "link");
  remove(directory, "around");
  expect(readdirSync(join(directory, "target"))).toEqual(["kept"]);
});

test("a directory can be emptied without being removed", () => {
  mkdirSync(join(directory, "kept/a/b"), { recursive: true });
  using fd = openPath(join(directory, "kept"), "directory");
  emptyDirectory(fd);
  expect(readdirSync(join(directory, "kept"))).toEqual([]);
});

rootTest("subvolumes are removed with the subvolumes in them, also read-only ones", () => {
  if (btrfs === null) return;
  const create = (path: string) => run("btrfs", "subvolume", "create", join(btrfs, path));
  create("top");
  mkdirSync(join(btrfs, "top/a dir"));
  for (const path of ["top/a dir/one", "top/two", "top/two/three"]) create(path);
  writeFileSync(join(btrfs, "top/two/three/file"), "x");
  run("btrfs", "property", "set", join(btrfs, "top/two"), "ro", "true");
  run("btrfs", "property", "set", join(btrfs, "top"), "ro", "true");
  remove(btrfs, "top");
  expect(readdirSync(btrfs)).toEqual([]);
});

rootTest("what is mounted in place of a nested subvolume is not removed", () => {
  if (btrfs === null) return;
  for (const path of ["image", "image/nested", "image/nested/deep", "other", "other/deep", "other/kept"])
    run("btrfs", "subvolume", "create", join(btrfs, path));
  const place = join(btrfs, "image/nested");
  run("mount", "--bind", join(btrfs, "other"), place);
  try {
    const before = openDescriptors();
    expect(() => remove(btrfs, "image")).toThrow("Device or resource busy");
    expectNothingLeft(before);
  } finally {
    run("umount", place);
  }
  expect(readdirSync(join(btrfs, "other")).sort()).toEqual(["deep", "kept"]);
  for (const name of ["image", "other"]) remove(btrfs, name);
  expect(readdirSync(btrfs)).toEqual([]);
});

rootTest("subvolumes in a plain directory are removed with it", () => {
  if (btrfs === null) return;
  mkdirSync(join(btrfs, "dir/sub"), { recursive: true });
  run("btrfs", "subvolume", "create", join(btrfs, "dir/sub/volume"));
  run("btrfs", "subvolume", "create", join(btrfs, "dir/sub/volume/nested"));
  remove(btrfs, "dir");
  expect(readdirSync(btrfs)).toEqual([]);
});

test("removing stays correct in a hot loop", () => {
  using fd = openPath(directory, "directory");
  const name = rawOf("never-there");
  for (let i = 0; i < MANY; i++) removeTree(fd, name);
  for (let i = 0; i < 500; i++) {
    mkdirSync(join(directory, `hot-${i}/inner`), { recursive: true });
    removeTree(fd, rawOf(`hot-${i}`));
  }
  expect(readdirSync(directory).filter((entry) => entry.startsWith("hot"))).toEqual([]);
});
