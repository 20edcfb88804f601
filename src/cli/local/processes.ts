// The processes of a unit, read from the control group file system, for hosts where no service manager can list them.

import { unlessNoProcess } from "../../base/absence.ts";
import { cgroupOrRoot, cgroupProcesses, upToUnit } from "../../kernel/cgroup/cgroup.ts";
import { processCmdline, processComm, processParent } from "../../kernel/process/process-file.ts";
import type { UnitProcess, UnitProcesses } from "../format/process-tree.ts";
import { shellWord } from "../format/property-text.ts";

/** The parent of all kernel threads. */
const KTHREADD = 2;

/**
 * Returns a command line in the service manager's form: quoted words, or the process's name in brackets if the command
 * line is empty. Null for kernel threads, which belong to no unit. Throws if the process has ended.
 */
function commandOf(pid: number): string | null {
  const words = processCmdline(pid);
  if (words.length > 0) return words.map(shellWord).join(" ");
  const isKernelThread = pid === KTHREADD || processParent(pid) === KTHREADD;
  return isKernelThread ? null : `[${processComm(pid)}]`;
}

/** Adds the processes of a control group and of the groups below it to `found`. */
function collect(path: string, found: UnitProcess[]): void {
  for (const { cgroup, pids } of cgroupProcesses(path)) {
    for (const pid of pids) {
      // A process may have ended since the list was read.
      const command = unlessNoProcess(() => commandOf(pid), null);
      if (command !== null) found.push({ cgroup, pid, command });
    }
  }
}

/** Adds the leader and its descendants to `found`, for a machine that has no control group of its own. */
function descendants(cgroup: string, leader: number, found: UnitProcess[]): void {
  const { readdirSync } = process.getBuiltinModule("node:fs");
  const family = new Set([leader]);
  // One pass finds a child only if its number is higher than its parent's, which fails after a wrap-around of the
  // numbers. So passes are repeated until one finds nothing new.
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const entry of readdirSync("/proc")) if (isChildOf(family, Number(entry))) family.add(Number(entry));
  }
  for (const pid of family) {
    // A process may have ended since it was found.
    const command = unlessNoProcess(() => commandOf(pid), null);
    if (command !== null) found.push({ cgroup, pid, command });
  }
}

function isChildOf(family: ReadonlySet<number>, pid: number): boolean {
  return pid > 0 && unlessNoProcess(() => family.has(processParent(pid)), false);
}

/**
 * Returns the processes of the unit; `leader` is the machine's leader, in whose control group path the unit's name is
 * looked for. Throws an error with errno if the leader has ended.
 */
export function localProcesses(unit: string, leader: number): UnitProcesses {
  const own = cgroupOrRoot(leader);
  const cgroup = upToUnit(own, unit) || "/";
  if (!own.split("/").includes(unit)) {
    const family: UnitProcess[] = [];
    descendants(cgroup, leader, family);
    return { cgroup, list: family };
  }
  const list: UnitProcess[] = [];
  collect(cgroup, list);
  return { cgroup, list };
}
