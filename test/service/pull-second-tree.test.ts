// A cached download and the image from it, on a file system where both need their own space.
import { afterAll, expect, setDefaultTimeout } from "bun:test";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { openPath } from "../../src/kernel/file/fd.ts";
import { JOB_LIMITS } from "../../src/worker/download/limits.ts";
import { unpackPlainTar } from "../../src/worker/image/unpack-tar.ts";
import { parseCommandLine } from "../../src/worker/program/command-line.ts";
import type { CommandLine } from "../../src/worker/program/options.ts";
import { download } from "../../src/worker/transfer/pull-download.ts";
import { PullPlace } from "../../src/worker/transfer/pull-image.ts";
import { SecondTree } from "../../src/worker/transfer/second-tree.ts";
import { rootTest } from "../kernel/support.ts";
import { describeTree, makeEverything, run } from "../kernel/tree-support.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { archive } from "../unit/worker/archive-builder.ts";
import { FaultyServer, runWorker } from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

/** A tmpfs, where files cannot share their data. */
const top = mkdtempSync("/dev/shm/pull-second-tree-");
afterAll(() => {
  Bun.spawnSync(["chattr", "-R", "-i", top], { stderr: "ignore" });
  rmSync(top, { recursive: true, force: true });
});
const server = new FaultyServer();
let roots = 0;

function newRoot(): string {
  const path = join(top, `root${roots++}`);
  mkdirSync(path);
  return path;
}

function place(path: string, ...options: string[]): PullPlace {
  const line = parseCommandLine("systemd-pull", [`--image-root=${path}`, "--sync=no", ...options]) as CommandLine;
  const url = server.url("everything.tar.gz");
  return new PullPlace(openPath(path, "directory"), {
    path,
    url,
    kind: "tar",
    options: line.options,
    direct: null,
    local: "image",
  });
}

function everything(): string {
  const tree = join(top, "everything");
  makeEverything(tree);
  const packed = join(top, "everything.tar");
  run("tar", "--xattrs", "--xattrs-include=*", "--acls", "-cf", packed, "-C", tree, ".");
  return packed;
}

rootTest(
  "I108: the cached download and the image are unpacked at the same time, as two equal and separate trees",
  async () => {
    server.pages["everything.tar.gz"] = { body: gzipSync(readFileSync(everything())), headers: { ETag: '"one"' } };
    const path = newRoot();
    const { code } = await runWorker("systemd-pull", [
      `--image-root=${path}`,
      "--verify=no",
      "tar",
      server.url("everything.tar.gz"),
      "image",
    ]);
    expect(code).toBe(0);
    const kept = readdirSync(path).find((name) => name.startsWith(".tar-")) as string;
    expect(readdirSync(path).filter((name) => name.startsWith(".#") && !name.endsWith(".lck"))).toEqual([]);
    expect(describeTree(join(path, "image"))).toBe(describeTree(join(path, kept)));
    expect(statSync(join(path, "image")).ino).not.toBe(statSync(join(path, kept)).ino);
  },
);

rootTest("I110: a second tree is unpacked only where the first would have to be copied", async () => {
  server.pages["everything.tar.gz"] = { body: archive({ name: "f", data: "content" }) };
  const twinOf = async (...options: string[]) => {
    const result = await download(place(newRoot(), ...options), [], JOB_LIMITS, { progress: () => {} });
    if ("cached" in result) throw new Error("nothing was downloaded");
    return result.secondTree;
  };
  expect(await twinOf()).not.toBeNull();
  expect(await twinOf("--keep-download=no")).toBeNull();
});

rootTest("a second tree that cannot be completed is removed, and the first one is complete", async () => {
  const path = newRoot();
  const first = join(path, "first");
  mkdirSync(first);
  using root = openPath(path, "directory");
  using tree = openPath(first, "directory");
  let owners = 0;
  const secondTree = SecondTree.make(root, {
    mapId: (id) => {
      if (++owners === 5) throw new Error("not this one");
      return id;
    },
  });
  const members = Array.from({ length: 6 }, (_, index) => ({ name: `d/f${index}`, data: "content" }));
  async function* source() {
    yield archive(...members);
  }
  await unpackPlainTar(source(), tree, {}, undefined, secondTree?.beside);
  expect(owners).toBe(5);
  expect(await secondTree?.finish()).toBeNull();
  expect(readdirSync(path)).toEqual(["first"]);
  expect(readdirSync(join(first, "d"))).toHaveLength(6);
});

rootTest("a second tree is not started where free space is short", async () => {
  const path = newRoot();
  run("mount", "-t", "tmpfs", "-o", "size=300M", "tmpfs", path);
  try {
    using root = openPath(path, "directory");
    expect(SecondTree.make(root, {})).toBeNull();
    run("mount", "-o", "remount,size=600M", path);
    using secondTree = SecondTree.make(root, {});
    expect(secondTree).not.toBeNull();
    // The second tree notices that the file system gets full before the first tree fails.
    writeFileSync(join(path, "filler"), Buffer.alloc(300 << 20, 1));
    const first = join(path, "first");
    mkdirSync(first);
    using tree = openPath(first, "directory");
    async function* source() {
      yield archive({ name: "f", data: Buffer.alloc(70 << 20, 1) });
    }
    await unpackPlainTar(source(), tree, {}, undefined, secondTree?.beside);
    expect(await secondTree?.finish()).toBeNull();
    expect(statSync(join(first, "f")).size).toBe(70 << 20);
    expect(readdirSync(path).sort()).toEqual(["filler", "first"]);
  } finally {
    run("umount", "-l", path);
  }
});
