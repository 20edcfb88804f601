// A list of machines by a daemon that has few free descriptors.
import { expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync } from "node:fs";
import { isRoot, register, TestDaemon } from "../lib/daemon.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

setDefaultTimeout(GUARD_MS);

const MACHINES = 40;
/** Enough for one machine after the other, and not for sixteen. */
const FREE = 10;

const can = isRoot && havePrograms("a daemon with few free descriptors", "prlimit");
const reason = can ? "" : " (left out: needs root and prlimit)";

/** Returns the limit of descriptors with which a process has FREE free ones. */
function limitWithFree(pid: number): number {
  const used = new Set(readdirSync(`/proc/${pid}/fd`).map(Number));
  let [limit, free] = [0, 0];
  for (; free < FREE; limit++) if (!used.has(limit)) free++;
  return limit;
}

test.skipIf(!can)(`a list has the os-release of all machines with few free descriptors, too${reason}`, async () => {
  await using daemon = await TestDaemon.start();
  const bus = await daemon.bus();
  const leaders = Array.from({ length: MACHINES }, () => Bun.spawn(["sleep", "infinity"]));
  try {
    for (const [index, leader] of leaders.entries()) await register(bus, `m-${index}`, leader.pid);
    const varlink = await daemon.varlink();
    const list = () => Array.fromAsync(varlink.callMore("io.systemd.Machine.List", { acquireMetadata: "graceful" }));
    const known = async () => (await list()).filter((row) => row["OSRelease"] !== undefined).length;
    const all = await known();
    expect(all).toBe(MACHINES + 1);
    Bun.spawnSync(["prlimit", "--pid", String(daemon.pid), `--nofile=${limitWithFree(daemon.pid)}:`]);
    expect(await known()).toBe(all);
  } finally {
    for (const leader of leaders) leader.kill("SIGKILL");
  }
});
