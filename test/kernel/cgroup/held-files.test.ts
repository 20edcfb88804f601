import { afterAll, expect } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { unlessNoFile } from "../../../src/base/absence.ts";
import { attachProcess, createCgroup, killCgroup, removeCgroup } from "../../../src/kernel/cgroup/cgroup.ts";
import { cgroupMounts, cgroupRoot } from "../../../src/kernel/cgroup/mount.ts";
import { Sampler } from "../../../src/machined/stats/sampler.ts";
import type { Machine } from "../../../src/registry/machine/machine.ts";
import type { Registry } from "../../../src/registry/machine/registry.ts";
import { Meter } from "../../../src/stats/meter.ts";
import { leaveOut } from "../../lib/programs.ts";
import { isRoot, rootTest } from "../support.ts";

const GROUP = `/held-files-test-${process.pid}`;
const hasFiles = isRoot && cgroupRoot().unified;
if (isRoot && !hasFiles) leaveOut("the files of machines that stay open", "there is no control group of version 2");

/** Returns the number of files of control groups that this process has open, in all hierarchies. */
function openGroupFiles(): number {
  const mounts = [...cgroupMounts().values()];
  const targets = readdirSync("/proc/self/fd").map((name) =>
    unlessNoFile(() => readlinkSync(`/proc/self/fd/${name}`), ""),
  );
  return targets.filter((target) => mounts.some((mount) => target.startsWith(`${mount}/`))).length;
}

const leader = hasFiles ? Bun.spawn(["sleep", "100000"], { stdio: ["ignore", "ignore", "ignore"] }) : null;
if (leader !== null) {
  createCgroup(GROUP);
  attachProcess(GROUP, leader.pid);
}
afterAll(async () => {
  if (leader === null) return;
  killCgroup(GROUP, 9);
  await leader.exited;
  removeCgroup(GROUP);
});

/** What a sampler reads of a machine. All have the same leader and group. */
const machines = Array.from({ length: 5 }, (_, index) => {
  const ofMachine = { pid: leader?.pid, isAlive: () => true };
  return { name: `m${index}`, isHost: false, started: true, leader: ofMachine, place: null } as unknown as Machine;
});
const registry = { list: () => machines } as unknown as Registry;

if (hasFiles) {
  rootTest("the files of machines stay open up to a limit of files, and are closed with their machines", async () => {
    const meter = new Meter(leader?.pid ?? 0, "");
    const each = openGroupFiles();
    expect(each).toBeGreaterThan(0);
    expect(meter.files).toBe(each + (meter.read().receivedBytes === null ? 0 : 1));
    meter[Symbol.dispose]();
    expect(openGroupFiles()).toBe(0);

    using sampler = new Sampler({ registry, mostFiles: 3 * meter.files });
    expect((await sampler.sample()).machines.length).toBe(5);
    expect(openGroupFiles()).toBe(3 * each);
    for (const machine of machines) sampler.forget(machine);
    expect(openGroupFiles()).toBe(0);
    for (const machine of machines) sampler.measure(machine);
    expect(openGroupFiles()).toBe(3 * each);
    sampler[Symbol.dispose]();
    expect(openGroupFiles()).toBe(0);
  });
}
