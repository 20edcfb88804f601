import { expect } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Fd, openPath, statFd } from "../../../src/kernel/file/fd.ts";
import {
  createSubvolume,
  isBtrfs,
  isSubvolume,
  nestedSubvolumes,
  outermostDirectory,
  removeSubvolume,
  setSubvolumeReadOnly,
  snapshotSubvolume,
  subvolumeInfo,
} from "../../../src/kernel/tree/btrfs.ts";
import {
  enableQuota,
  insertSubtreeGroup,
  isQuotaEnabled,
  limitGroup,
  subtreeGroup,
  subvolumeSpace,
  UNLIMITED,
} from "../../../src/kernel/tree/btrfs-quota.ts";
import { RawStatus } from "../../../src/kernel/tree/raw-status.ts";
import { snapshotNested } from "../../../src/kernel/tree/snapshot.ts";
import { openDirectory } from "../../../src/kernel/tree/tree.ts";
import { isRoot, MANY, rootTest, until } from "../support.ts";
import { describeTree, mountedFileSystem, run } from "../tree-support.ts";

const mount = isRoot ? mountedFileSystem("btrfs", 256) : null;

function btrfsTest(name: string, body: (mount: string, top: Fd) => void | Promise<void>): void {
  rootTest(name, async () => {
    if (mount === null) return;
    using top = openPath(mount, "directory");
    await body(mount, top);
  });
}

btrfsTest("a subvolume is created, described, made read-only and removed", (path, top) => {
  createSubvolume(top, "one");
  {
    using one = openDirectory(top, "one");
    expect([isSubvolume(one), isBtrfs(one)]).toEqual([true, true]);
    const info = subvolumeInfo(one);
    expect(info).toMatchObject({ parentId: 5n, readOnly: false });
    expect(run("btrfs", "subvolume", "show", join(path, "one"))).toContain(`Subvolume ID: \t\t${info.id}\n`);
    expect(Math.abs(Number(info.createdUsec) / 1000 - Date.now())).toBeLessThan(60_000);
    setSubvolumeReadOnly(one, true);
    expect(subvolumeInfo(one).readOnly).toBe(true);
    expect(() => writeFileSync(join(path, "one/file"), "x")).toThrow("EROFS");
    setSubvolumeReadOnly(one, false);
    writeFileSync(join(path, "one/file"), "x");
  }
  removeSubvolume(top, "one");
  expect(readdirSync(path)).toEqual([]);
});

btrfsTest("a directory is not reported as a subvolume, and an invalid name is refused", (path, top) => {
  mkdirSync(join(path, "dir"));
  using dir = openDirectory(top, "dir");
  expect(isSubvolume(dir)).toBe(false);
  for (const name of ["", "a/b", "x".repeat(256)]) expect(() => createSubvolume(top, name)).toThrow("Invalid argument");
  run("rmdir", join(path, "dir"));
});

btrfsTest("all nested subvolumes are found, also with names that are not UTF-8", (path, top) => {
  createSubvolume(top, "many");
  using many = openDirectory(top, "many");
  mkdirSync(join(path, "many/a/b"), { recursive: true });
  createSubvolume(many, "with-\xff\xfe");
  using deep = openPath(join(path, "many/a/b"), "directory");
  createSubvolume(deep, "deep");
  for (let i = 0; i < 300; i++) createSubvolume(many, `n${i}`);
  const found = nestedSubvolumes(many);
  expect(found).toHaveLength(302);
  expect(found).toContainEqual(expect.objectContaining({ directory: "a/b/", name: "deep" }));
  expect(found).toContainEqual(expect.objectContaining({ directory: "", name: "with-\xff\xfe" }));
  run(
    "sh",
    "-c",
    `btrfs -q subvolume delete '${path}'/many/n* '${path}'/many/with* '${path}/many/a/b/deep' '${path}/many'`,
  );
});

btrfsTest("a snapshot contains the nested subvolumes at their places, except those that are left out", (path, top) => {
  createSubvolume(top, "source");
  using source = openDirectory(top, "source");
  mkdirSync(join(path, "source/dir"));
  mkdirSync(join(path, "source/pool"));
  for (const name of ["one", "dir/two", "pool/image", "one/inner"])
    run("btrfs", "-q", "subvolume", "create", join(path, "source", name));
  writeFileSync(join(path, "source/one/inner/file"), "content");
  for (const name of ["dir", "one", ""]) utimesSync(join(path, "source", name), 1, 1);
  using pool = openPath(join(path, "source/pool"), "directory");
  const nested = nestedSubvolumes(source);
  snapshotSubvolume(source, pool, "clone");
  using clone = openDirectory(pool, "clone");
  const leaveEmpty = new Set([new RawStatus().readFd(pool).identity]);
  snapshotNested(source, nested, clone, { leaveEmpty, readOnly: false });
  const at = join(path, "source/pool/clone");
  expect(readFileSync(join(at, "one/inner/file"), "utf8")).toBe("content");
  for (const name of ["one", "dir/two", "one/inner"]) expect(statSync(join(at, name)).ino).toBe(256);
  expect(readdirSync(join(at, "pool"))).toEqual(["image"]);
  expect(statSync(join(at, "pool/image")).ino).not.toBe(256);
  for (const name of ["dir", "one"]) {
    expect(describeTree(join(at, name))).toBe(describeTree(join(path, "source", name)));
  }
  snapshotSubvolume(source, pool, "fixed");
  using fixed = openDirectory(pool, "fixed");
  snapshotNested(source, nested, fixed, { leaveEmpty, readOnly: true });
  const fixedAt = join(path, "source/pool/fixed");
  expect(describeTree(join(fixedAt, "one"))).toBe(describeTree(join(path, "source/one")));
  for (const name of ["one", "dir/two", "one/inner"]) {
    using inner = openPath(join(fixedAt, name), "directory");
    expect([name, subvolumeInfo(inner).readOnly]).toEqual([name, true]);
  }
});

btrfsTest("quota is off until it is enabled; then a subvolume's limit is enforced", async (path, top) => {
  run("btrfs", "-q", "subvolume", "create", join(path, "limited"));
  using limited = openDirectory(top, "limited");
  const { id, parentId } = subvolumeInfo(limited);
  expect(isQuotaEnabled(limited)).toBe(false);
  expect(subvolumeSpace(limited, id)).toBeNull();
  enableQuota(limited);
  expect(isQuotaEnabled(limited)).toBe(true);
  await until(() => subvolumeSpace(limited, id) !== null, "the first count");
  insertSubtreeGroup(limited, id, parentId);
  expect(subtreeGroup(limited, id)).toBe((255n << 48n) | id);
  insertSubtreeGroup(limited, id, parentId);
  limitGroup(limited, subtreeGroup(limited, id), 8n << 20n);
  await until(() => subvolumeSpace(limited, id)?.limit === 8n << 20n, "the limit");
  expect(
    run(
      "sh",
      "-c",
      `head -c 16M /dev/urandom > '${path}/limited/data' 2>&1 || echo refused; sync '${path}/limited' 2>&1 || true`,
    ),
  ).toContain("refused");
  limitGroup(limited, subtreeGroup(limited, id), UNLIMITED);
  expect(subvolumeSpace(limited, id)?.limit).toBe(UNLIMITED);
});

btrfsTest(
  "a limit below the usage can be raised again, through a directory outside the subvolume",
  async (path, top) => {
    createSubvolume(top, "full");
    using full = openDirectory(top, "full");
    mkdirSync(join(path, "full/inner"));
    using inner = openDirectory(full, "inner");
    {
      using outside = outermostDirectory(inner);
      using itself = outermostDirectory(top);
      expect([statFd(outside).dev, statFd(itself).dev]).toEqual([statFd(top).dev, statFd(top).dev]);
    }
    enableQuota(top);
    const { id } = subvolumeInfo(full);
    await until(() => subvolumeSpace(full, id) !== null, "the count");
    using outside = outermostDirectory(full);
    limitGroup(outside, id, 1024n);
    expect(() => limitGroup(full, id, 64n << 20n)).toThrow("Disk quota exceeded");
    limitGroup(outside, id, 64n << 20n);
    writeFileSync(join(path, "full/inner/file"), "x");
  },
);

btrfsTest("reading subvolumes stays correct in a hot loop", (_path, top) => {
  createSubvolume(top, "hot");
  using hot = openDirectory(top, "hot");
  const { id } = subvolumeInfo(hot);
  const { dev } = statFd(top);
  for (let i = 0; i < MANY; i++) {
    if (subvolumeInfo(hot).id !== id) throw new Error(`wrong id at ${i}`);
    if (!isSubvolume(hot)) throw new Error(`wrong answer at ${i}`);
  }
  for (let i = 0; i < MANY / 50; i++) {
    if (nestedSubvolumes(hot).length !== 0) throw new Error(`wrong list at ${i}`);
    if (subtreeGroup(hot, id) !== id) throw new Error(`wrong group at ${i}`);
    using outside = outermostDirectory(hot);
    if (statFd(outside).dev !== dev) throw new Error(`wrong directory at ${i}`);
  }
});
