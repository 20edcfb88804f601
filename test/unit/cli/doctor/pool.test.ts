// What `machinectl doctor` regards as left over in the pool: temporary files that no process has locked.
import { afterAll, expect, test } from "bun:test";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { OPERATION_TEMPORARY_PREFIX } from "../../../../src/base/vocabulary/temporary.ts";
import type { PoolFacts } from "../../../../src/cli/doctor/host-facts.ts";
import { doctorPool, lockedInodes } from "../../../../src/cli/doctor/pool.ts";
import { Session } from "../../../../src/cli/session/session.ts";
import { defaultSettings } from "../../../../src/cli/session/settings.ts";
import { FakeProcess, WORLDS, type World } from "../fake-world.ts";

const LOCKS = `1: FLOCK  ADVISORY  WRITE 4101 00:2f:77 0 EOF
2: POSIX  ADVISORY  WRITE 811 fd:01:1311 1073741826 1073742335
3: OFDLCK ADVISORY  WRITE -1 fd:01:1312 0 EOF
4: FLOCK  ADVISORY  READ  812 fd:01:1313 0 EOF
4: -> FLOCK  ADVISORY  WRITE 812 103:02:99 0 EOF
`;

test("a lock in /proc/locks counts only if it is of flock(2), and for the file with its device and inode number", () => {
  expect([...lockedInodes(LOCKS, "00:2f")]).toEqual(["77"]);
  expect([...lockedInodes(LOCKS, "fd:01")]).toEqual(["1313"]);
  expect([...lockedInodes(LOCKS, "103:02")]).toEqual(["99"]);
  expect([...lockedInodes(LOCKS, "08:01")]).toEqual([]);
  expect([...lockedInodes(LOCKS, null)]).toEqual(["77", "1313", "99"]);
});

const pool = mkdtempSync(join(tmpdir(), "pool-test-"));
afterAll(() => rmSync(pool, { recursive: true }));

test("a temporary file that a worker has locked is not reported as left over", async () => {
  const [used, left] = ["used", "left"].map((name) => OPERATION_TEMPORARY_PREFIX + name) as [string, string];
  for (const name of [used, left]) writeFileSync(join(pool, name), "");
  const fd = openSync(join(pool, used), "r");
  try {
    // The lock belongs to the open file description, which this process shares.
    expect(Bun.spawnSync(["flock", "3"], { stdio: ["ignore", "inherit", "inherit", fd] }).exitCode).toBe(0);
    const process = new FakeProcess(WORLDS["empty"] as World);
    expect(await doctorPool(new Session(defaultSettings(), process), [pool])).toBe(0);
    expect((JSON.parse(process.stdout) as PoolFacts).ofOperations).toEqual([left]);
  } finally {
    closeSync(fd);
  }
});
