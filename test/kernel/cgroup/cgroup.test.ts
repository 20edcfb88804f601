import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import {
  attachProcess,
  cgroupDirectory,
  cgroupExists,
  cgroupOfProcess,
  cgroupProcesses,
  cgroupRoot,
  createCgroup,
  isCgroupPopulated,
  killCgroup,
  killCgroupInTurns,
  parseProcessCgroup,
  removeCgroup,
  watchCgroupEvents,
  writeAttribute,
} from "../../../src/kernel/cgroup/cgroup.ts";
import { findCgroupHierarchies, findCgroupRoot } from "../../../src/kernel/cgroup/mount.ts";
import { writeSome } from "../../../src/kernel/file/byte-io.ts";
import { makeDirectory } from "../../../src/kernel/file/directory-entry.ts";
import { openAt, openPath } from "../../../src/kernel/file/fd.ts";
import { expectNothingLeft, openDescriptors } from "../../lib/descriptors.ts";
import { leaveOut } from "../../lib/programs.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";
import { isRoot, rootTest, until } from "../support.ts";

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
  for (const end of ["\r", "\u2028", "\u2029"]) {
    expect(parseProcessCgroup(`0::/a.slice/c.scope/x${end}y\n`, true)).toBe(`/a.slice/c.scope/x${end}y`);
  }
});

const LONG_NAME = "d".repeat(200);
const GROUP = `/kernel-test-${process.pid}`;

function sleeper(group: string) {
  const child = Bun.spawn(["sleep", "1000"], { stdio: ["ignore", "ignore", "ignore"] });
  attachProcess(group, child.pid);
  return child;
}

rootTest("a group is created, filled, emptied and removed, and a watch reports its events", async () => {
  createCgroup(`${GROUP}/one/deep`);
  createCgroup(`${GROUP}/two`);
  expect(isCgroupPopulated(GROUP)).toBe(false);
  let events = 0;
  using _watch = watchCgroupEvents(GROUP, () => events++);
  const children = [sleeper(`${GROUP}/one/deep`), sleeper(`${GROUP}/two`)];
  const [first, second] = children as [(typeof children)[0], (typeof children)[0]];
  expect(cgroupOfProcess(first.pid)).toBe(`${GROUP}/one/deep`);
  expect(cgroupProcesses(`${GROUP}/two`)).toEqual([{ cgroup: `${GROUP}/two`, pids: [second.pid] }]);
  expect(
    cgroupProcesses(GROUP)
      .map(({ cgroup }) => cgroup)
      .sort(),
  ).toEqual([`${GROUP}/one/deep`, `${GROUP}/two`]);
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

rootTest("processes are found and signalled in groups of any depth and name", async () => {
  createCgroup(GROUP);
  const children = ["deep", "name"].map(() => sleeper(GROUP));
  const [deep, name] = children as [(typeof children)[0], (typeof children)[0]];
  const directory = cgroupDirectory(GROUP);
  // Deeper than a path can be long.
  let group = openPath(directory, "directory");
  for (let depth = 0; depth < 40; depth++) {
    makeDirectory(LONG_NAME, 0o755, group);
    using outer = group;
    group = openAt(outer, LONG_NAME, "directory");
  }
  using processes = openAt(group, "cgroup.procs", "write");
  writeSome(processes, Buffer.from(String(deep.pid)));
  group.close();
  const script = `other=$(printf '\\377') && mkdir "$other" && echo ${name.pid} >"$other/cgroup.procs"`;
  expect(Bun.spawnSync(["sh", "-c", script], { cwd: directory, stderr: "inherit" }).exitCode).toBe(0);
  expect(isCgroupPopulated(GROUP)).toBe(true);
  const found = cgroupProcesses(GROUP).flatMap(({ pids }) => pids);
  expect(found.sort()).toEqual([deep.pid, name.pid].sort());
  expect(killCgroup(GROUP, 15)).toBe(2);
  for (const { exited } of children) await exited;
  expect(children.map(({ signalCode }) => signalCode)).toEqual(["SIGTERM", "SIGTERM"]);
  await until(() => !isCgroupPopulated(GROUP), "the group to become empty");
  removeCgroup(GROUP);
  expect(cgroupExists(GROUP)).toBe(false);
});

rootTest(
  "signalling very many groups leaves turns of the event loop to others, and ends when it is not meant",
  async () => {
    for (let index = 0; index < 100; index++) createCgroup(`${GROUP}/${index}`);
    const names = readdirSync(cgroupDirectory(GROUP), { withFileTypes: true }).filter((entry) => entry.isDirectory());
    const child = sleeper(`${GROUP}/${names.at(-1)?.name}`);
    const before = openDescriptors();
    await killCgroupInTurns(GROUP, 10, () => false);
    let turns = 0;
    await killCgroupInTurns(GROUP, 15, () => ++turns > 0);
    await child.exited;
    // Not SIGUSR1, with which only the first groups were visited.
    expect(child.signalCode).toBe("SIGTERM");
    // Two rounds: one finds the process, and one no other.
    expect(turns).toBeGreaterThanOrEqual(6);
    expectNothingLeft(before);
    await until(() => !isCgroupPopulated(GROUP), "the group to become empty");
    removeCgroup(GROUP);
  },
);

const hasThreads = isRoot && cgroupRoot().unified;
if (isRoot && !hasThreads) leaveOut("groups of threads", "there is no control group of version 2");

test.skipIf(!hasThreads)("processes whose threads are in a group of threads are signalled", async () => {
  createCgroup(`${GROUP}/threads`);
  const child = sleeper(GROUP);
  writeAttribute(`${GROUP}/threads`, "cgroup.type", "threaded");
  writeAttribute(`${GROUP}/threads`, "cgroup.threads", String(child.pid));
  expect(cgroupOfProcess(child.pid)).toBe(`${GROUP}/threads`);
  expect(cgroupProcesses(GROUP)).toEqual([{ cgroup: GROUP, pids: [child.pid] }]);
  expect(killCgroup(GROUP, 15)).toBe(1);
  await child.exited;
  await until(() => !isCgroupPopulated(GROUP), "the group to become empty");
  removeCgroup(GROUP);
});

rootTest("a group that does not exist is empty, and paths that lead out of the hierarchy are refused", () => {
  expect(isCgroupPopulated("/no/such")).toBe(false);
  expect(cgroupProcesses("/no/such")).toEqual([]);
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
      if (cgroupProcesses(GROUP)[0]?.pids[0] !== child.pid) throw new Error(`wrong at ${i}`);
    }
    expectNothingLeft(before);
    killCgroup(GROUP, 9);
    await child.exited;
    await until(() => !isCgroupPopulated(GROUP), "the group to become empty");
    removeCgroup(GROUP);
  },
  GUARD_MS,
);
