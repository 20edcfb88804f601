// Machines below a user's manager, in whose group are all processes of that user.
import { afterAll, expect } from "bun:test";
import { unitOfCgroup } from "../../../src/base/names.ts";
import {
  attachProcess,
  cgroupOfProcess,
  createCgroup,
  groupInUserManager,
  killCgroup,
  removeCgroup,
} from "../../../src/kernel/cgroup/cgroup.ts";
import { PidRef } from "../../../src/kernel/process/pidref.ts";
import { NO_DESCRIPTION } from "../../../src/registry/machine/description.ts";
import { Machine } from "../../../src/registry/machine/machine.ts";
import { MachineSet } from "../../../src/registry/machine/set.ts";
import type { ServiceManager, UnitPlace } from "../../../src/registry/ports.ts";
import { isRoot, rootTest } from "../support.ts";

const TOP = `/user-manager-test-${process.pid}.slice`;
const MANAGER = `${TOP}/user@1000.service`;
const children: Bun.Subprocess[] = [];

/** Starts a process in a group. */
function startIn(group: string): number {
  const child = Bun.spawn(["sleep", "1000"], { stdio: ["ignore", "ignore", "ignore"] });
  children.push(child);
  createCgroup(group);
  attachProcess(group, child.pid);
  return child.pid;
}

afterAll(async () => {
  if (!isRoot) return;
  killCgroup(TOP, 9);
  for (const child of children) await child.exited;
  removeCgroup(TOP);
});

function placeOf(pid: number): UnitPlace | null {
  const cgroup = cgroupOfProcess(pid);
  const found = unitOfCgroup(cgroup);
  return found === null ? null : { unit: found.unit, subgroup: found.subgroup, cgroup };
}

rootTest("of a user's processes, those in the unit of a machine belong to it, and no others", () => {
  const scope = `${MANAGER}/machine.slice/machine-web.scope`;
  const leader = PidRef.of(startIn(`${scope}/payload`));
  const set = new MachineSet({ placeOf } as ServiceManager);
  const facts = { name: "web", id: null, class: "container", uid: 1000, leader, supervisor: null } as const;
  const machine = new Machine({ ...NO_DESCRIPTION, ...facts });
  machine.place = placeOf(leader.pid);
  machine.started = true;
  set.add(machine);
  set.addUnit(machine, "user@1000.service");
  const machineIn = (group: string) => set.findByProcess(startIn(group))?.name ?? null;
  expect(machineIn(`${scope}/payload/init.scope`)).toBe("web");
  expect(machineIn(`${scope}/supervisor`)).toBe("web");
  expect(machineIn(`${MANAGER}/app.slice/browser.service`)).toBeNull();
  expect(machineIn(`${MANAGER}/init.scope`)).toBeNull();
  machine.release();
});

rootTest("the group of a path in a user's manager is that of its unit there", () => {
  expect(groupInUserManager("/user.slice/user@1.service/app.slice/a.scope/x")).toBe(
    "/user.slice/user@1.service/app.slice/a.scope",
  );
  expect(groupInUserManager("/user.slice/user@1.service")).toBeNull();
  expect(groupInUserManager("/machine.slice/a.scope")).toBeNull();
});
