import { expect, test } from "bun:test";
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/file/fd.ts";
import { copyTree } from "../../../src/kernel/tree/copy.ts";
import { RawStatus } from "../../../src/kernel/tree/raw-status.ts";
import { descriptorsTo, expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { mountFull } from "../../lib/full-file-system.ts";
import { havePrograms } from "../../lib/programs.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { isRoot, MANY, rootTest } from "../support.ts";
import { describeTree, makeDeep, makeEverything, mountedFileSystem, run, treeDirectory } from "../tree-support.ts";

const directory = treeDirectory();
const btrfs = isRoot ? mountedFileSystem("btrfs", 256) : null;

function copy(from: string, to: string, options: Parameters<typeof copyTree>[2] = {}) {
  mkdirSync(to, { recursive: true });
  using source = openPath(from, "directory");
  using target = openPath(to, "directory");
  return copyTree(source, target, options);
}

rootTest("a copy has every kind of file, name, owner, mode, time, attribute, link and hole of the original", () => {
  const [from, to] = [join(directory, "all"), join(directory, "all-copy")];
  makeEverything(from);
  const before = openDescriptors();
  copy(from, to);
  expect(describeTree(to)).toBe(describeTree(from));
  expectNothingLeft(before);
});

test("the error about a directory that cannot be created names it, and its descriptor is closed", () => {
  const [from, to] = [join(directory, "twice"), join(directory, "twice-copy")];
  mkdirSync(join(from, "inner"), { recursive: true });
  mkdirSync(join(to, "inner"), { recursive: true });
  expect(() => copy(from, to)).toThrow('mkdir "inner": File exists');
  expect(descriptorsTo(join(from, "inner"))).toBe(0);
});

rootTest("an attribute for which the other file system has no room is left out and reported", () => {
  const small = mountedFileSystem("ext4", 32);
  if (btrfs === null || small === null) return;
  const from = join(btrfs, "attributes");
  mkdirSync(from);
  writeFileSync(join(from, "a"), "a");
  run("python3", "-c", `import os, sys; os.setxattr(sys.argv[1], "user.large", b"x" * 8000)`, join(from, "a"));
  const lost: string[] = [];
  copy(from, join(small, "copy"), { onLoss: (path, what) => lost.push(`${path}: ${what}`) });
  expect(lost).toEqual(["a: user.large"]);
  expect(readFileSync(join(small, "copy/a"), "utf8")).toBe("a");
});

rootTest("bytes for which the other file system turns out to have no room fail the copy", async () => {
  if (!havePrograms("copies to a full FUSE file system", "python3")) return;
  using full = await mountFull(join(directory, "mount"));
  const from = join(directory, "for-full");
  mkdirSync(from);
  writeFileSync(join(from, "empty"), "");
  copy(from, join(full.path, "empty"));
  writeFileSync(join(from, "file"), "text");
  expect(() => copy(from, join(full.path, "copy"))).toThrow('write "file": No space left on device');
});

rootTest("on btrfs the copy shares its data with the original", () => {
  if (btrfs === null) return;
  const [from, to] = [join(btrfs, "a"), join(btrfs, "b")];
  makeEverything(from);
  writeFileSync(join(from, "big"), Buffer.alloc(32 << 20, 7));
  run("btrfs", "filesystem", "sync", btrfs);
  copy(from, to);
  expect(describeTree(to)).toBe(describeTree(from));
  run("btrfs", "filesystem", "sync", btrfs);
  expect(run("btrfs", "filesystem", "du", "--raw", "-s", join(to, "big"))).toMatch(/33554432 +0 /);
});

test("a directory that is left out is copied empty, also when it contains the target", () => {
  const from = join(directory, "self");
  mkdirSync(join(from, "pool/old"), { recursive: true });
  writeFileSync(join(from, "file"), "x");
  chmodSync(join(from, "pool"), 0o700);
  using pool = openPath(join(from, "pool"), "directory");
  const to = join(from, "pool/new");
  copy(from, to, { leaveEmpty: new Set([new RawStatus().readFd(pool).identity]) });
  expect(run("find", to, "-printf", "%P %m\\n").split("\n").sort()).toEqual(
    ["", ` ${(statSync(from).mode & 0o777).toString(8)}`, "file 644", "pool 700"].sort(),
  );
});

rootTest("a mount point in the tree is copied as an empty directory", () => {
  const from = join(directory, "mounts");
  mkdirSync(join(from, "other"), { recursive: true });
  run("mount", "-t", "tmpfs", "-o", "mode=751", "tmpfs", join(from, "other"));
  try {
    writeFileSync(join(from, "other/secret"), "x");
    copy(from, join(directory, "mounts-copy"));
  } finally {
    run("umount", "-l", join(from, "other"));
  }
  const found = run("find", join(directory, "mounts-copy"), "-mindepth", "1", "-printf", "%P %m\\n");
  expect(found).toBe("other 751\n");
});

test(
  "a tree deeper than any path is copied",
  () => {
    const [from, to] = [join(directory, "deep"), join(directory, "deep-copy")];
    makeDeep(from, 5000);
    const { files } = copy(from, to);
    expect(files).toBe(5000 + 5);
    expect(run("sh", "-c", `find '${to}' | wc -l`).trim()).toBe(String(5000 + 5 + 1));
  },
  GUARD_MS,
);

test("hard links that are far apart stay one file", () => {
  const from = join(directory, "far-links");
  const long = Array.from({ length: 30 }, () => "n".repeat(200)).join("/");
  run("sh", "-c", `mkdir -p '${from}' && cd '${from}' && echo x > first`);
  const script = `import os,sys
os.chdir(sys.argv[1])
for part in sys.argv[2].split("/"):
    os.mkdir(part); os.chdir(part)
fd = os.open(sys.argv[1], os.O_RDONLY); os.link("first", "last", src_dir_fd=fd); os.link("first", "last2", src_dir_fd=fd)`;
  run("python3", "-c", script, from, long);
  copy(from, join(directory, "far-links-copy"));
  expect(statSync(join(directory, "far-links-copy/first")).nlink).toBe(3);
});

test(
  "a full target is an ENOSPC error with the name of the file",
  () => {
    if (btrfs === null) return;
    const from = join(directory, "large");
    mkdirSync(from);
    run("sh", "-c", `head -c 300M /dev/urandom > '${from}/data'`);
    expect(() => copy(from, join(btrfs, "full"))).toThrow('"data": No space left on device');
  },
  GUARD_MS,
);

test(
  "progress is reported in files and bytes",
  () => {
    const from = join(directory, "many");
    mkdirSync(from);
    for (let i = 0; i < 1200; i++) writeFileSync(join(from, `f${i}`), "12345");
    const seen: number[] = [];
    const end = copy(from, join(directory, "many-copy"), { onProgress: ({ files }) => seen.push(files) });
    expect(end).toEqual({ files: 1200, bytes: 6000 });
    expect(seen).toContain(512);
  },
  GUARD_MS,
);

test(
  "copying stays correct in a hot loop",
  () => {
    const from = join(directory, "hot");
    mkdirSync(from);
    writeFileSync(join(from, "file"), "content");
    using target = openPath(directory, "directory");
    const status = new RawStatus();
    using file = openPath(join(from, "file"), "path");
    const { identity } = status.readFd(file);
    for (let i = 0; i < MANY; i++) if (status.readFd(file).identity !== identity) throw new Error(`wrong file at ${i}`);
    for (let i = 0; i < 300; i++) copy(from, join(directory, `hot-${i}`));
    expect(describeTree(join(directory, "hot-299"))).toBe(describeTree(from));
    expect(target.isOpen).toBe(true);
  },
  GUARD_MS,
);
