import { afterAll, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { UINT64_MAX } from "../../../../src/base/text/format.ts";
import type { Image } from "../../../../src/registry/image/image.ts";
import { isImageName } from "../../../../src/registry/image/image.ts";
import { ImageSearch } from "../../../../src/registry/image/search.ts";
import { waitFor } from "../../../lib/wait-for.ts";

const root = mkdtempSync(join(tmpdir(), "image-search-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;

/**
 * Makes search directories with these entries: a name that ends in a slash is a directory, others are files of 1000
 * bytes.
 */
function search(...directories: string[][]): { search: ImageSearch; paths: string[] } {
  const paths = directories.map((entries) => {
    const path = join(root, `d${count++}`);
    mkdirSync(path);
    for (const entry of entries) {
      if (entry.endsWith("/")) mkdirSync(join(path, entry), { recursive: true });
      else writeFileSync(join(path, entry), Buffer.alloc(1000));
    }
    return path;
  });
  return { search: new ImageSearch(paths), paths };
}

const names = (images: readonly Image[]) =>
  images
    .map(({ name }) => name)
    .filter((name) => name !== ".host")
    .sort();

test("M145: the host's own tree is always listed, hidden and read-only", () => {
  const { search: s } = search([]);
  const [host] = s.list();
  expect(host).toMatchObject({
    name: ".host",
    path: "/",
    isHost: true,
    isHidden: true,
    isReadOnly: true,
    mayChange: false,
  });
  expect(["directory", "subvolume"]).toContain(host?.type as string);
  expect(s.find(".host")?.path).toBe("/");
});

test("M146: temporary names and other files are no images; hidden ones and names with blanks are", () => {
  const { search: s } = search([".#tmp/", "plain", "x.img", "a.raw", "sp ace/", ".hidden/", "dir/", ".sysupdate.x/"]);
  expect(names(s.list())).toEqual([".hidden", "a", "dir", "sp ace"]);
  for (const name of [".#tmp", "plain", "x.img", "a.raw", ".sysupdate.x", "", ".", "..", "dir/..", "nothing"]) {
    expect(s.find(name)).toBeNull();
  }
});

test("M147: the modification time and the size of a tree are unknown", () => {
  const { search: s, paths } = search(["dir/"]);
  const born = statSync(join(paths[0] as string, "dir")).birthtimeMs;
  const { facts } = s.find("dir") as Image;
  expect(facts).toMatchObject({ modifiedUsec: 0n, path: join(paths[0] as string, "dir"), type: "directory" });
  expect(Math.abs(Number(facts.createdUsec) / 1000 - born)).toBeLessThan(1);
  expect(Object.values(facts.space)).toEqual([UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX]);
});

test("M148: a disk image is read-only without a write bit, uses its blocks and is limited by its size", () => {
  const { search: s, paths } = search(["disk.raw"]);
  const path = join(paths[0] as string, "disk.raw");
  utimesSync(path, 1000, 2000);
  const usage = BigInt(statSync(path).blocks) * 512n;
  expect(s.find("disk")).toMatchObject({ type: "raw", isReadOnly: false });
  expect(s.find("disk")?.facts).toMatchObject({
    modifiedUsec: 2_000_000_000n,
    space: { usage, usageExclusive: usage, limit: 1000n, limitExclusive: 1000n },
  });
  chmodSync(path, 0o444);
  expect(s.find("disk")?.isReadOnly).toBe(true);
  chmodSync(path, 0o464);
  expect(s.find("disk")?.isReadOnly).toBe(false);
});

test("M150: a tree is preferred to a disk image of the same name, in lookups and in the list", () => {
  const { search: s } = search(["both/", "both.raw"]);
  expect(s.find("both")?.type).toBe("directory");
  expect(
    s
      .list()
      .filter(({ name }) => name === "both")
      .map(({ type }) => type),
  ).toEqual(["directory"]);
});

test("of images with the same name, the one in the first search directory is used", () => {
  const { search: s, paths } = search(["a.raw"], ["a/", "b/"]);
  expect(s.find("a")?.type).toBe("raw");
  expect(s.list().find(({ name }) => name === "a")?.type).toBe("raw");
  expect(s.find("b")?.path).toBe(join(paths[1] as string, "b"));
});

test("a search directory that is missing, or no directory, is skipped", () => {
  const { paths } = search(["a/", "file"]);
  const s = new ImageSearch([join(root, "nowhere"), join(paths[0] as string, "file"), paths[0] as string]);
  expect(names(s.list())).toEqual(["a"]);
  expect(s.find("a")).not.toBeNull();
});

test("a link to an image is an image; its path is the target of the link", () => {
  const { search: s, paths } = search(["elsewhere.txt/"], ["dir/", "disk.raw"]);
  const [here, there] = paths as [string, string];
  symlinkSync(join(there, "dir"), join(here, "linked"));
  symlinkSync(join(there, "disk.raw"), join(here, "l.raw"));
  symlinkSync("nowhere", join(here, "dangling"));
  symlinkSync("loop", join(here, "loop"));
  expect(names(s.list())).toEqual(["dir", "disk", "elsewhere.txt", "l", "linked"]);
  expect(s.find("linked")?.facts).toMatchObject({ path: join(there, "dir"), place: { entry: "linked", isLink: true } });
  expect(s.find("l")?.type).toBe("raw");
  expect(s.find("dangling")).toBeNull();
});

test("M149: an image below /usr belongs to the operating system", () => {
  const vendor = new ImageSearch(["/usr/lib"]).list().filter(({ isHost }) => !isHost);
  expect(vendor.length).toBeGreaterThan(0);
  for (const image of vendor) expect(image).toMatchObject({ isVendor: true, isReadOnly: true, mayChange: false });
});

test("M165: a hidden image is read-only", () => {
  const { search: s } = search([".pristine/"]);
  expect(s.find(".pristine")).toMatchObject({ isHidden: true, isReadOnly: true, mayChange: true });
});

test("M166: in a folder of versions the newest one is the image, with the folder's name", () => {
  const { search: s, paths } = search([
    "foo.raw.v/",
    "foo.raw.v/foo_1.raw",
    "foo.raw.v/foo_2.raw",
    "foo.raw.v/foo_3.txt",
    "foo.raw.v/bar_9.raw",
    "tree.v/tree_1/",
    "tree.v/tree_1.1/",
    "empty.v/",
    "none.raw.v/",
  ]);
  expect(names(s.list())).toEqual(["foo", "tree"]);
  expect(s.find("foo")?.path).toBe(join(paths[0] as string, "foo.raw.v/foo_2.raw"));
  expect(s.find("tree")?.facts).toMatchObject({ place: { isVersion: true, entry: "tree_1.1" }, type: "directory" });
  for (const name of ["foo.v", "foo.raw.v", "tree.v", "empty", "none"]) expect(s.find(name)).toBeNull();
});

test("a folder of layers is an image of type mstack", () => {
  const { search: s } = search(["app.mstack/", "x.mstack.v/x_1.mstack/"]);
  expect(s.find("app")?.type).toBe("mstack");
  expect(s.find("x")?.type).toBe("mstack");
  expect(s.find("app.mstack")).toBeNull();
  expect(names(s.list())).toEqual(["app", "x"]);
});

test("a change is visible in the next list or lookup", () => {
  const { search: s, paths } = search(["a.raw", "t/"]);
  const path = join(paths[0] as string, "a.raw");
  s.list();
  for (let i = 1; i < 50; i++) {
    writeFileSync(path, Buffer.alloc(1000 + i));
    if (s.list().find(({ name }) => name === "a")?.facts.space.limit !== BigInt(1000 + i))
      throw new Error(`stale at ${i}`);
    chmodSync(path, i % 2 === 0 ? 0o644 : 0o444);
    if (s.list().find(({ name }) => name === "a")?.isReadOnly !== (i % 2 !== 0)) throw new Error(`stale mode at ${i}`);
    rmSync(join(paths[0] as string, "t"), { recursive: true });
    if (names(s.list()).includes("t")) throw new Error(`stale list at ${i}`);
    mkdirSync(join(paths[0] as string, "t"));
    if (!names(s.list()).includes("t")) throw new Error(`stale list at ${i}`);
    chmodSync(path, 0o644);
  }
});

test("the same object is returned for an unchanged image, and every change is noticed", async () => {
  const { search: s, paths } = search(["a.raw", "t/"]);
  const [disk, tree] = ["a.raw", "t"].map((entry) => join(paths[0] as string, entry)) as [string, string];
  const image = (name: string) => s.list().find((one) => one.name === name);
  const settled = (name: string) =>
    waitFor(() => expect(image(name)).toBe(image(name) as Image), `${name} to be known`);
  const changes: readonly [name: string, change: () => void, seen: (image: Image) => unknown][] = [
    ["a", () => writeFileSync(disk, Buffer.alloc(5000)), ({ facts }) => facts.space.limit === 5000n],
    ["a", () => utimesSync(disk, 5, 5), ({ facts }) => facts.modifiedUsec === 5_000_000n],
    ["a", () => chmodSync(disk, 0o444), ({ isReadOnly }) => isReadOnly],
    ["a", () => chmodSync(disk, 0o644), ({ isReadOnly }) => !isReadOnly],
    ["t", () => renameSync(tree, `${tree}2`), (one) => one === undefined],
    ["t2", () => [renameSync(`${tree}2`, tree), mkdirSync(`${tree}2`)], ({ facts }) => facts.createdUsec > 0n],
    ["t2", () => [rmSync(`${tree}2`, { recursive: true }), symlinkSync(tree, `${tree}2`)], ({ path }) => path === tree],
  ];
  for (const [name, change, seen] of changes) {
    await settled(name);
    const before = image(name);
    change();
    expect(image(name)).not.toBe(before as Image);
    expect(seen(image(name) as Image)).toBe(true);
    expect(s.find(name)).toEqual(image(name) ?? null);
  }
});

test("a name of an image is a file name in UTF-8 that is not temporary", () => {
  for (const name of ["a", ".a", "sp ace", "ü", "a".repeat(255), "a.raw", "-", "..."])
    expect(isImageName(name)).toBe(true);
  for (const name of ["", ".", "..", "a/b", ".#x", "a\nb", "a\x7f", "a".repeat(256), "\ud800"]) {
    expect(isImageName(name)).toBe(false);
  }
});

test("while no image changes, list() returns the same array, sorted by name; every change makes a new one", async () => {
  const { search: s, paths } = search(["b.raw", "a/", "plain", "v.raw.v/", "ü/"], ["z/", "a/"]);
  const [here, there] = paths as [string, string];
  symlinkSync(join(there, "later.raw"), join(here, "link.raw"));
  const settled = () => waitFor(() => expect(s.list()).toBe(s.list()), "the list to be known");
  const listed = () =>
    s.list().map(({ name, type, isReadOnly, facts }) => `${name} ${type} ${isReadOnly} ${facts.path}`);
  const text = () =>
    listed()
      .filter((line) => !line.startsWith(".host "))
      .join("\n")
      .replaceAll(root, "");
  const changes: readonly (() => void)[] = [
    () => chmodSync(join(here, "b.raw"), 0o444),
    () => writeFileSync(join(here, "c.raw"), ""),
    () => mkdirSync(join(there, "later.raw")),
    () => [rmSync(join(here, "plain")), mkdirSync(join(here, "plain"))],
    () => renameSync(join(there, "z"), join(there, "y")),
    () => rmSync(join(here, "a"), { recursive: true }),
    () => rmSync(join(there, "a"), { recursive: true }),
  ];
  await settled();
  expect(s.list().map(({ name }) => name)).toEqual([".host", "a", "b", "z", "ü"]);
  for (const [index, change] of changes.entries()) {
    await settled();
    const before = text();
    change();
    expect([index, text()]).not.toEqual([index, before]);
    const fresh = new ImageSearch(paths).list().filter(({ isHost }) => !isHost);
    expect(
      s
        .list()
        .filter(({ isHost }) => !isHost)
        .map(({ facts }) => facts),
    ).toEqual(fresh.map(({ facts }) => facts));
  }
  writeFileSync(join(here, "v.raw.v/v_1.raw"), "");
  expect(s.find("v")?.type).toBe("raw");
  expect(names(s.list())).toContain("v");
  writeFileSync(join(here, "v.raw.v/v_2.raw"), "");
  expect(s.list().find(({ name }) => name === "v")?.path).toBe(join(here, "v.raw.v/v_2.raw"));
});
