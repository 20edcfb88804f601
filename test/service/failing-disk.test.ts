// Transfers and clones in a pool whose disk fails during the work: a file system on a loop device whose own file cannot
// grow. Write errors come late, the file system may become read-only, and the clean-up fails as well.
import { afterAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, needsRoot } from "../lib/daemon.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { runWorker } from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);
const canRun = isRoot && havePrograms("a failing disk", "mkfs.ext4", "tar");
const DISK_BYTES = 12 << 20;
const CONTENT_BYTES = 40 << 20;
const FILES = 40;
const TOLD = /Input\/output error|No space left on device|Read-only file system/;

function sh(script: string): void {
  const { exitCode, stderr } = Bun.spawnSync(["sh", "-c", `set -e; ${script}`]);
  if (exitCode !== 0) throw new Error(stderr.toString());
}

describe.skipIf(!canRun)(`a disk that fails${needsRoot}`, () => {
  const base = mkdtempSync(join(tmpdir(), "machined-disk-"));
  const [pool, tree, raw, archive] = ["pool", "tree", "disk.raw", "tree.tar"].map((name) => join(base, name)) as [
    ...string[],
  ] as [string, string, string, string];
  mkdirSync(tree);
  writeFileSync(raw, randomBytes(CONTENT_BYTES));
  for (let file = 0; file < FILES; file++) writeFileSync(join(tree, `${file}`), randomBytes(CONTENT_BYTES / FILES));
  sh(`cd ${base} && tar -C tree -cf tree.tar . && mkdir -p small pool`);
  afterAll(() => rmSync(base, { recursive: true, force: true }));

  /** Runs `work` with the pool on a new file system. */
  async function withPool(work: () => Promise<void>): Promise<void> {
    sh(`cd ${base} && mount -t tmpfs -o size=${DISK_BYTES} small small && truncate -s 200M small/disk &&
      mkfs.ext4 -q small/disk && mount -o loop small/disk pool`);
    try {
      await work();
    } finally {
      // Lazily: a mount namespace that another test made meanwhile has the pool as well, and keeps the disk in use.
      sh(`umount -l ${pool}; umount -l ${base}/small`);
    }
  }

  const root = `--image-root=${pool}`;
  test.each([
    ["an import of a disk image", "systemd-import", ["raw", root, raw, "x"]],
    ["an import of an archive", "systemd-import", ["tar", root, archive, "x"]],
    ["an import of a directory", "systemd-import-fs", ["run", root, tree, "x"]],
    ["a download of a disk image", "systemd-pull", ["raw", "--verify=no", root, `file://${raw}`, "x"]],
    ["a download of an archive", "systemd-pull", ["tar", "--verify=no", root, `file://${archive}`, "x"]],
  ] as const)("%s reports the error, and leaves no image", async (_what, program, args) => {
    await withPool(async () => {
      const { code, log } = await runWorker(program, [...args], { SYSTEMD_IMPORT_SYNC: "yes" });
      expect(code).toBe(1);
      expect(log).toMatch(TOLD);
      expect(log).not.toMatch(/SuppressedError|^ +at /m);
      expect(readdirSync(pool).filter((name) => !name.startsWith("."))).toEqual(["lost+found"]);
    });
  });
});
