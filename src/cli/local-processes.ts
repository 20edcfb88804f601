// The processes below a control group, read from the cgroup and proc file systems of this host (cgroups(7), proc(5)).
import { readdirSync, readFileSync } from "node:fs";
import type { UnitProcess } from "./process-tree.ts";
import type { UnitProcesses } from "./unit-processes.ts";

const CGROUP_ROOTS = ["/sys/fs/cgroup", "/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"];

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

/** The control group of a process in the unified or else systemd's own hierarchy. */
function cgroupOf(pid: number): string | null {
  const lines = (read(`/proc/${pid}/cgroup`) ?? "").split("\n").map((line) => line.split(":"));
  const line = lines.find(([number]) => number === "0") ?? lines.find(([, names]) => names === "name=systemd");
  return line === undefined ? null : line.slice(2).join(":");
}

/** The part of a control group's path that ends with the unit's own name; the whole path when the name is not in it. */
function upToUnit(cgroup: string, unit: string): string {
  const components = cgroup.split("/");
  const index = components.lastIndexOf(unit);
  return index < 0 ? cgroup : components.slice(0, index + 1).join("/");
}

/** A command line as the service manager writes it: words by blanks, the name in brackets where there is none. */
function commandOf(pid: number): string {
  const words = (read(`/proc/${pid}/cmdline`) ?? "").split("\0").filter((word) => word !== "");
  if (words.length > 0) return words.map((word) => (/[\s"\\]/.test(word) ? JSON.stringify(word) : word)).join(" ");
  return `[${(read(`/proc/${pid}/comm`) ?? "?").trim()}]`;
}

function walk(root: string, cgroup: string, found: UnitProcess[]): void {
  const pids = (read(`${root}${cgroup}/cgroup.procs`) ?? "").split("\n").filter((pid) => Number(pid) > 0);
  for (const pid of pids) found.push({ cgroup, pid: Number(pid), command: commandOf(Number(pid)) });
  const entries = readdirSync(`${root}${cgroup}`, { withFileTypes: true });
  for (const entry of entries) if (entry.isDirectory()) walk(root, `${cgroup}/${entry.name}`, found);
}

/** What is running in the control group of the unit that `leader` belongs to; null when that cannot be seen. */
export function localProcesses(unit: string, leader: number): UnitProcesses | null {
  const leaders = cgroupOf(leader);
  if (leaders === null) return null;
  const cgroup = upToUnit(leaders, unit);
  for (const root of CGROUP_ROOTS) {
    if (read(`${root}${cgroup}/cgroup.procs`) === null) continue;
    const found: UnitProcess[] = [];
    walk(root, cgroup === "/" ? "" : cgroup, found);
    return { cgroup, list: found };
  }
  return null;
}
