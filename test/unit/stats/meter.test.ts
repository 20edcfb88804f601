// Which control group has a machine's counters, and the counters of its network.
import { expect, test } from "bun:test";
import { groupOf } from "../../../src/stats/meter.ts";

test("the group is that of the unit, in cgroup version 1 only where the unit has one there", () => {
  const path = "/machine.slice/web.service/payload/init.scope";
  expect(groupOf("web.service", path, "")).toBe("/machine.slice/web.service");
  expect(groupOf("web.service", path, "memory")).toBe("/machine.slice/web.service");
  // A machine cannot leave processes out by a group of its unit's name.
  expect(groupOf("web.service", `${path}/web.service`, "")).toBe("/machine.slice/web.service");
  expect(groupOf("web.service", "/machine.slice", "cpuacct")).toBeNull();
  expect(groupOf("", "/lxc.payload.c1", "memory")).toBe("/lxc.payload.c1");
  expect(groupOf("web.service", "/elsewhere", "")).toBe("/elsewhere");
});

test("the group of a machine below a user's manager is that of its own unit there", () => {
  const manager = "/user.slice/user-1000.slice/user@1000.service";
  const groupBelow = (path: string, controller = "") => groupOf("user@1000.service", `${manager}${path}`, controller);
  expect(groupBelow("/machine.slice/machine-web.scope/payload/init.scope")).toBe(
    `${manager}/machine.slice/machine-web.scope`,
  );
  expect(groupBelow("/app.slice/web.service")).toBe(`${manager}/app.slice/web.service`);
  expect(groupBelow("/app.slice/web.service/payload", "memory")).toBe(`${manager}/app.slice/web.service`);
  expect(groupBelow("/payload")).toBe(`${manager}/payload`);
  // All processes of the user.
  expect(groupBelow("")).toBeNull();
});

test("the counters of the root group are not used for a machine", () => {
  expect(groupOf("", "/", "")).toBeNull();
  expect(groupOf("web.service", "/", "memory")).toBeNull();
});
