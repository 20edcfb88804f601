// Which control group has a machine's counters, and the counters of its network.
import { expect, test } from "bun:test";
import { groupOf } from "../../../src/stats/meter.ts";

test("the group is that of the unit, in cgroup version 1 only where the unit has one there", () => {
  const path = "/machine.slice/web.service/payload/init.scope";
  expect(groupOf("web.service", path, "")).toBe("/machine.slice/web.service");
  expect(groupOf("web.service", path, "memory")).toBe("/machine.slice/web.service");
  expect(groupOf("web.service", "/machine.slice", "cpuacct")).toBeNull();
  expect(groupOf("", "/lxc.payload.c1", "memory")).toBe("/lxc.payload.c1");
  expect(groupOf("web.service", "/elsewhere", "")).toBe("/elsewhere");
});

test("the counters of the root group are not used for a machine", () => {
  expect(groupOf("", "/", "")).toBeNull();
  expect(groupOf("web.service", "/", "memory")).toBeNull();
});
