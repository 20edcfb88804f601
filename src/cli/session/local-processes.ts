// The processes of a unit on a host whose service manager cannot be asked: read from the control group file system.
import { readdirSync } from "node:fs";
import { cgroupOfProcess, cgroupProcesses, childCgroups, upToUnit } from "../../kernel/process/cgroup.ts";
import { processCmdline, processComm, processParent } from "../../kernel/process/process-file.ts";
import type { UnitProcess, UnitProcesses } from "../format/process-tree.ts";
import { shellWord } from "../format/property-text.ts";

/** The parent of all kernel threads. */
const KTHREADD = 2;

/**
 * A command line as the service manager writes it: words by blanks, the name in brackets where there is none. Null for
 * kernel threads, which belong to no unit.
 */
function commandOf(pid: number): string | null {
  const words = processCmdline(pid);
  if (words.length > 0) return words.map(shellWord).join(" ");
  const isKernelThread = pid === KTHREADD || processParent(pid) === KTHREADD;
  return isKernelThread ? null : `[${processComm(pid)}]`;
}

function collect(cgroup: string, found: UnitProcess[]): void {
  for (const pid of cgroupProcesses(cgroup)) {
    try {
      const command = commandOf(pid);
      if (command !== null) found.push({ cgroup, pid, command });
    } catch {
      // Ended since the list was read.
    }
  }
  for (const name of childCgroups(cgroup)) collect(cgroup === "/" ? `/${name}` : `${cgroup}/${name}`, found);
}

/** The leader and what descends from it, for a machine that has no control group of its own. */
function descendants(cgroup: string, leader: number, found: UnitProcess[]): void {
  const family = new Set([leader]);
  // A child has a higher number than its parent but for a wrap-around: then it is found in a second round.
  for (let size = 0; size !== family.size; ) {
    size = family.size;
    for (const entry of readdirSync("/proc")) if (isChildOf(family, Number(entry))) family.add(Number(entry));
  }
  for (const pid of family) {
    try {
      const command = commandOf(pid);
      if (command !== null) found.push({ cgroup, pid, command });
    } catch {
      // Ended since it was found.
    }
  }
}

function isChildOf(family: ReadonlySet<number>, pid: number): boolean {
  try {
    return pid > 0 && family.has(processParent(pid));
  } catch {
    return false;
  }
}

/** What runs in the unit that `leader` belongs to. Throws an error with errno. */
export function localProcesses(unit: string, leader: number): UnitProcesses {
  const own = cgroupOfProcess(leader);
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
