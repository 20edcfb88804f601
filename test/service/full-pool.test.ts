// Images are removed from a file system that has no room for another name, so that there is room again.
import { afterAll, describe, expect, test } from "bun:test";
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { isRoot, manager, needsRoot, TestDaemon } from "../lib/daemon.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const canRun = isRoot && havePrograms("a full pool", "mkfs.btrfs", "btrfs");

function sh(script: string): void {
  const { exitCode, stderr } = Bun.spawnSync(["sh", "-c", `set -e; ${script}`]);
  if (exitCode !== 0) throw new Error(stderr.toString());
}

/** Calls `act` with growing numbers until the file system has no room for what it writes. */
function untilFull(act: (round: number) => void): void {
  for (let round = 0; ; round++) {
    try {
      act(round);
    } catch (error) {
      expect((error as { code?: string }).code).toBe("ENOSPC");
      return;
    }
  }
}

/** Fills a file system: with content, and with names until no further one fits. */
function fill(pool: string): void {
  untilFull(() => appendFileSync(join(pool, ".filler"), Buffer.alloc(1 << 20)));
  sh(`sync -f '${pool}'`);
  untilFull((round) => writeFileSync(join(pool, `.${"n".repeat(200)}${round}`), ""));
}

describe.skipIf(!canRun)(`a full pool${needsRoot}`, () => {
  const root = mkdtempSync(join(tmpdir(), "machined-full-"));
  const pool = join(root, "var/lib/machines");
  afterAll(() => {
    sh(`umount -l '${pool}'`);
    rmSync(root, { recursive: true, force: true });
  });

  test(
    "images are removed from it: a directory, a subvolume and a disk image",
    async () => {
      mkdirSync(pool, { recursive: true });
      sh(`truncate -s 64M '${root}/disk'; mkfs.btrfs -q -M '${root}/disk'; mount -o loop '${root}/disk' '${pool}'
        cd '${pool}'; mkdir -p tree/etc; btrfs subvolume create sub >/dev/null; mkdir sub/etc; head -c 100000 /dev/zero > disk.raw
        for i in $(seq 100); do echo x > tree/$i; echo x > sub/$i; done`);
      await using daemon = await TestDaemon.start({ MACHINED_IMAGE_ROOT: root });
      const bus = await daemon.bus();
      fill(pool);
      for (const name of ["tree", "sub", "disk"]) await manager(bus, "RemoveImage", "s", name);
      expect(readdirSync(pool).filter((name) => !name.startsWith(".n") && name !== ".filler")).toEqual([]);
    },
    GUARD_MS,
  );
});
