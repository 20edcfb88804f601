// test/host/bed, as far as it can be tested without a bed: the pool of trees.
import { describe, expect } from "bun:test";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rootTest } from "../kernel/support.ts";
import { BED } from "../lib/host-suite.ts";
import { havePrograms } from "../lib/programs.ts";

const canRun = havePrograms("the pool of beds", "mkfs.btrfs", "btrfs", "flock");

describe.skipIf(!canRun)("test/host/bed", () => {
  rootTest("the pool of beds is made on a machine that has none, and used again", () => {
    const cache = mkdtempSync(join(tmpdir(), "bed-cache-"));
    const drop = () =>
      Bun.spawnSync([BED, "drop", "nothing"], { env: { ...process.env, BED_CACHE: cache, BED_POOL_SIZE: "1G" } });
    try {
      for (let round = 0; round < 2; round++) {
        const { exitCode, stderr } = drop();
        expect([exitCode, String(stderr)]).toEqual([0, expect.any(String)]);
      }
      expect(existsSync(join(cache, "pool.img"))).toBe(true);
    } finally {
      // It stays mounted while beds run.
      Bun.spawnSync(["umount", "-l", join(cache, "pool")], { stderr: "ignore" });
      rmSync(cache, { recursive: true });
    }
  });
});
