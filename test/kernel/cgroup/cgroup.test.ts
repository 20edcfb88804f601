import { expect, test } from "bun:test";
import {
  attachProcess,
  cgroupExists,
  cgroupOfProcess,
  cgroupProcesses,
  cgroupRoot,
  childCgroups,
  createCgroup,
  isCgroupPopulated,
  killCgroup,
  parseProcessCgroup,
  removeCgroup,
  watchCgroupEvents,
} from "../../../src/kernel/cgroup/cgroup.ts";
import { findCgroupHierarchies, findCgroupRoot } from "../../../src/kernel/cgroup/mount.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { rootTest, until } from "../support.ts";

const V1 =
  "30 25 0:26 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd\n31 25 0:27 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids";
const V2 = "29 25 0:25 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate";
const HYBRID = `${V1}\n32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw`;
const ELSEWHERE = `${V1}\n32 25 0:28 / /opt/odd\\040place rw - cgroup2 cgroup2 rw`;

test("the hierarchy that tracks processes is found with cgroup v1, v2, in hybrid mode and at other mount points", () => {
  expect(findCgroupRoot(V2)).toEqual({ mount: "/sys/fs/cgroup", unified: true });
  expect(findCgroupRoot(V1)).toEqual({ mount: "/sys/fs/cgroup/systemd", unified: false });
  expect(findCgroupRoot(HYBRID)).toEqual({ mount: "/sys/fs/cgroup/unified", unified: true });
  expect(findCgroupRoot(ELSEWHERE)).toEqual({ mount: "/sys/fs/cgroup/systemd", unified: false });
  expect(findCgroupRoot(ELSEWHERE.split("\n")[2] ?? "")).toEqual({ mount: "/opt/odd place", unified: true });
  expect(() => findCgroupRoot("")).toThrow("No control group hierarchy is mounted");
});

test("a hierarchy has its controllers as its name, as in /proc/PID/cgroup, also where SELinux adds mount options", () => {
  const mountinfo = [
    "30 25 0:26 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,seclabel,xattr,release_agent=/x,name=systemd",
    '31 25 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,seclabel,context="a:b:c:s0:c1,c2",cpu,cpuacct',
    "32 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,seclabel,nsdelegate",
  ].join("\n");
  expect(findCgroupHierarchies(mountinfo)).toEqual([
    { controllers: "name=systemd", mount: "/sys/fs/cgroup/systemd" },
    { controllers: "cpu,cpuacct", mount: "/sys/fs/cgroup/cpu,cpuacct" },
    { controllers: "", mount: "/sys/fs/cgroup/unified" },
  ]);
});

test("a process's group is read from the line of the hierarchy that tracks processes", () => {
  const text = "9:name=systemd:/a.slice/b\n4:memory:/other\n0::/a.slice/c.scope (deleted)\n";
  expect(parseProcessCgroup(text, true)).toBe("/a.slice/c.scope");
  expect(parseProcessCgroup(text, false)).toBe("/a.slice/b");
  expect(parseProcessCgroup("4:memory:/other\n", true)).toBeNull();
});

const GROUP = `/kernel-test-${process.pid}`;

function sleeper(group: string) {
  const child = Bun.spawn(["sleep", "1000"], { stdio: ["ignore", "ignore", "ignore"] });
  attachProcess(group, child.pid);
  return child;
}

rootTest("a group is created, filled, emptied and removed, and a watch reports its events", async () => {
  createCgroup(`${GROUP}/one/deep`);
  createCgroup(`${GROUP}/two`);
  expect(childCgroups(GROUP).sort()).toEqual(["one", "two"]);
  expect(isCgroupPopulated(GROUP)).toBe(false);
  let events = 0;
  using _watch = watchCgroupEvents(GROUP, () => events++);
  const children = [sleeper(`${GROUP}/one/deep`), sleeper(`${GROUP}/two`)];
  const [first, second] = children as [(typeof children)[0], (typeof children)[0]];
  expect(cgroupOfProcess(first.pid)).toBe(`${GROUP}/one/deep`);
  expect(cgroupProcesses(`${GROUP}/two`)).toEqual([second.pid]);
  expect(cgroupProcesses(GROUP)).toEqual([]);
  expect(isCgroupPopulated(GROUP)).toBe(true);
  await until(() => events > 0, "the first event");
  expect(() => removeCgroup(GROUP)).toThrow("Device or resource busy");
  expect(killCgroup(`${GROUP}/one`, 15)).toBe(1);
  await first.exited;
  expect(first.signalCode).toBe("SIGTERM");
  expect(second.exitCode).toBeNull();
  events = 0;
  killCgroup(GROUP, 9);
  await second.exited;
  await until(() => events > 0 && !isCgroupPopulated(GROUP), "the group to become empty");
  removeCgroup(GROUP);
  expect(cgroupExists(GROUP)).toBe(false);
  removeCgroup(GROUP);
});

rootTest("a group that does not exist is empty, and paths that lead out of the hierarchy are refused", () => {
  expect(isCgroupPopulated("/no/such")).toBe(false);
  expect(cgroupProcesses("/no/such")).toEqual([]);
  expect(childCgroups("/no/such")).toEqual([]);
  expect(killCgroup("/no/such", 15)).toBe(0);
  expect(() => cgroupExists("/a/../../etc")).toThrow("Invalid argument");
  expect(() => watchCgroupEvents("/no/such", () => {})).toThrow("No such file or directory");
  expect(cgroupExists("/")).toBe(true);
  expect(cgroupRoot().mount).toStartWith("/");
});

rootTest(
  "reading groups stays correct in a hot loop, and no descriptor stays open",
  async () => {
    createCgroup(GROUP);
    const child = sleeper(GROUP);
    const before = openDescriptors();
    for (let i = 0; i < 10_000; i++) {
      if (cgroupOfProcess(child.pid) !== GROUP || !isCgroupPopulated(GROUP)) throw new Error(`wrong at ${i}`);
      if (cgroupProcesses(GROUP)[0] !== child.pid || childCgroups(GROUP).length > 0) throw new Error(`wrong at ${i}`);
    }
    expectNothingLeft(before);
    killCgroup(GROUP, 9);
    await child.exited;
    await until(() => !isCgroupPopulated(GROUP), "the group to become empty");
    removeCgroup(GROUP);
  },
  GUARD_MS,
);
