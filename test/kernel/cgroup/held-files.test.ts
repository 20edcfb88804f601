import { afterAll, expect } from "bun:test";
import { readdirSync, readlinkSync } from "node:fs";
import { unlessNoFile } from "../../../src/base/absence.ts";
import { attachProcess, createCgroup, killCgroup, removeCgroup } from "../../../src/kernel/cgroup/cgroup.ts";
import { cgroupMounts, cgroupRoot } from "../../../src/kernel/cgroup/mount.ts";
import { PidRef } from "../../../src/kernel/process/pidref.ts";
import { Sampler } from "../../../src/machined/stats/sampler.ts";
import { NO_DESCRIPTION } from "../../../src/registry/machine/description.ts";
import { Machine, type MachineFacts } from "../../../src/registry/machine/machine.ts";
import type { Registry } from "../../../src/registry/machine/registry.ts";
import { Meter, NOT_MEASURED } from "../../../src/stats/meter.ts";
import { leaveOut } from "../../lib/programs.ts";
import { isRoot, rootTest } from "../support.ts";

const GROUP = `/held-files-test-${process.pid}`;
const SCOPE = "machine-x.scope";
const hasFiles = isRoot && cgroupRoot().unified;
if (isRoot && !hasFiles) leaveOut("the files of machines that stay open", "there is no control group of version 2");

/** Returns the number of files of control groups, below one or of all, that this process has open. */
function openGroupFiles(below = "/"): number {
  const mounts = [...cgroupMounts().values()];
  const targets = readdirSync("/proc/self/fd").map((name) =>
    unlessNoFile(() => readlinkSync(`/proc/self/fd/${name}`), ""),
  );
  return targets.filter((target) => mounts.some((mount) => target.startsWith(`${mount}${below}`))).length;
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

  rootTest(
    "a machine is not measured in the group that its leader leaves when its scope has been started",
    async () => {
      const facts = {
        name: "x",
        id: null,
        class: "container",
        uid: 0,
        leader: PidRef.of(leader?.pid ?? 0),
        supervisor: null,
      };
      const machine = new Machine({ ...NO_DESCRIPTION, ...facts } as MachineFacts);
      machine.started = true;
      machine.place = { unit: SCOPE, subgroup: "", cgroup: "" };
      machine.job = "/org/freedesktop/systemd1/job/1";
      using sampler = new Sampler({ registry });
      expect(sampler.measure(machine)?.usage).toEqual(NOT_MEASURED);
      const group = `${GROUP}/${SCOPE}`;
      createCgroup(group);
      attachProcess(group, leader?.pid ?? 0);
      machine.job = null;
      machine.place = { ...machine.place, cgroup: group };
      expect(sampler.measure(machine)?.usage.cpuUsec).toBeNumber();
      expect(openGroupFiles(`${group}/`)).toBe(openGroupFiles());
      expect(openGroupFiles()).toBeGreaterThan(0);
      machine.release();
    },
  );
}
