// Control groups by path, as the kernel writes it: "/machine.slice/machine-x.scope". See cgroups(7).

import { unitOfCgroup } from "../../base/names.ts";
import { inNextTurn } from "../../base/next-turn.ts";
import { watchPath } from "../event/inotify.ts";
import type { Watch } from "../event/poller.ts";
import { writeSome } from "../file/byte-io.ts";
import { makeDirectory, removeDirectory } from "../file/directory-entry.ts";
import { type Fd, openPath, statPath } from "../file/fd.ts";
import { readRegular } from "../file/regular-file.ts";
import { PidRef } from "../process/pidref.ts";
import { readProcess } from "../process/process-file.ts";
import { isErrno, SyscallError, unlessErrno } from "../syscall/sys.ts";
import { cgroupRoot } from "./mount.ts";
import { GROUP_GONE, processesIn, removeChild, walkGroups } from "./walk.ts";

export { cgroupRoot } from "./mount.ts";

const LIMIT_BYTES = 16 * 1024 * 1024;
const SIGKILL = 9;
/** After this many rounds, a group that forks faster than it is signalled is given up. */
const KILL_ROUNDS = 64;
/** After this many groups, those that are made faster than they are visited are given up. */
const GROUPS_LIMIT = 1 << 18;
/** How many groups are visited in one turn of the event loop. */
const GROUPS_PER_TURN = 32;
/** How many processes are signalled together: the group is read once for all of them. */
const SIGNALLED_AT_ONCE = 32;
/** The interval at which a group of version 1 is polled, which does not report that it becomes empty. */
const RECHECK_MS = 1000;

/** Returns the directory of a group; throws `EINVAL` unless `path` is absolute and without `..`. */
export function cgroupDirectory(path: string): string {
  if (!path.startsWith("/") || path.split("/").includes("..")) throw new SyscallError("cgroup", "EINVAL", path);
  return path === "/" ? cgroupRoot().mount : `${cgroupRoot().mount}${path}`;
}

/**
 * Returns the group of a process. Throws `ESRCH` where there is no such process, `ENODATA` where the hierarchy has no
 * group of it, `ENOENT` where no hierarchy is mounted.
 */
export function cgroupOfProcess(pid: number): string {
  return parseProcessCgroup(readProcess(pid, "cgroup").toString(), cgroupRoot().unified) ?? noGroup(pid);
}

/** As cgroupOfProcess(); the root group on a host without control groups. */
export function cgroupOrRoot(pid: number): string {
  return unlessErrno(() => cgroupOfProcess(pid), "/", "ENOENT");
}

function noGroup(pid: number): never {
  throw new SyscallError("cgroup", "ENODATA", String(pid));
}

/** Returns the path in the text of a /proc/PID/cgroup (lines `number:controllers:path`); null where it has none. */
export function parseProcessCgroup(text: string, unified: boolean): string | null {
  for (const line of text.split("\n")) {
    const [, number, controllers, path] = /^(\d+):([^:]*):(.*)$/s.exec(line) ?? [];
    const isOurs = unified ? number === "0" && controllers === "" : controllers?.split(",").includes("name=systemd");
    // The group of a zombie may have been removed.
    if (isOurs && path !== undefined) return path.replace(/ \(deleted\)$/, "");
  }
  return null;
}

/**
 * Cuts a group's path off after the unit's name; returns the whole path where the name is not in it. A machine may give
 * a group below its unit the same name, so that the first one counts.
 */
export function upToUnit(cgroup: string, unit: string): string {
  const components = cgroup.split("/");
  const index = components.indexOf(unit);
  return index < 0 ? cgroup : components.slice(0, index + 1).join("/");
}

/** Whether a unit of the system is a user's manager: all processes of that user are in it. */
export function isUserManager(unit: string): boolean {
  return /^user@\d+\.service$/.test(unit);
}

/**
 * Returns the group of the unit of a user's manager that a path is in; the path itself where it is below the manager
 * and in no unit, null where it is not below one.
 */
export function groupInUserManager(path: string): string | null {
  const [manager] = /^.*?\/user@\d+\.service(?=\/)/s.exec(path) ?? [];
  if (manager === undefined) return null;
  const subgroup = unitOfCgroup(path.slice(manager.length))?.subgroup ?? "";
  return subgroup === "" ? path : path.slice(0, -subgroup.length - 1);
}

/** Returns whether a group exists. */
export function cgroupExists(path: string): boolean {
  return ifThere(() => statPath(cgroupDirectory(path)).kind === "directory") ?? false;
}

/** Returns the user to whom a group belongs: root, or the one to whom it was delegated. Throws `ENOENT`. */
export function cgroupOwner(path: string): number {
  return statPath(cgroupDirectory(path)).uid;
}

/** Returns whether a process is in the group or below it; false for a missing group. */
export function isCgroupPopulated(path: string): boolean {
  if (!cgroupRoot().unified) return hasProcesses(path);
  if (path === "/") return true; // the root group has no cgroup.events, and is never empty
  const events = ifThere(() => readAttribute(path, "cgroup.events"));
  return events !== null && /^populated 1$/m.test(events);
}

function hasProcesses(path: string): boolean {
  for (const { group, left } of walkGroups(cgroupDirectory(path))) {
    if (left === null && processesIn(group).length > 0) return true;
  }
  return false;
}

/**
 * Calls `callback` when a group becomes empty or populated, and when it is removed; the callback must check which.
 * Throws `ENOENT` where the group is missing.
 */
export function watchCgroupEvents(path: string, callback: () => void): Watch {
  if (cgroupRoot().unified) return watchPath(`${cgroupDirectory(path)}/cgroup.events`, ["modify"], () => callback());
  statPath(cgroupDirectory(path));
  let was = isCgroupPopulated(path);
  const timer = setInterval(() => {
    const is = isCgroupPopulated(path);
    if (is === was && cgroupExists(path)) return;
    was = is;
    callback();
  }, RECHECK_MS);
  const stop = () => clearInterval(timer);
  return { stop, [Symbol.dispose]: stop };
}

/** Processes of one group. */
interface GroupProcesses {
  readonly cgroup: string;
  readonly pids: readonly number[];
}

/** Returns the processes of a group and of all groups below it; none for a missing group. */
export function cgroupProcesses(path: string): GroupProcesses[] {
  const found: GroupProcesses[] = [];
  for (const { group, names, left } of walkGroups(cgroupDirectory(path))) {
    const pids = left === null ? processesIn(group) : [];
    const below = Buffer.from(names.map((name) => `/${name}`).join(""), "latin1").toString();
    if (pids.length > 0) found.push({ cgroup: path === "/" ? below || path : path + below, pids });
  }
  return found;
}

/**
 * Sends a signal to all processes of the group and of groups below, except this process. Repeats until there are no new
 * processes. Returns how many got it; null where the kernel killed the whole group (cgroup.kill), which does not count
 * them.
 */
export function killCgroup(path: string, signal: number): number | null {
  const steps = killSteps(path, signal);
  for (;;) {
    const step = steps.next();
    if (step.done === true) return step.value;
  }
}

/**
 * As `killCgroup()`, with other work of the event loop in between: who owns the groups may have very many, and make
 * more meanwhile. Ends where `isStillMeant` returns false after such a pause.
 */
export async function killCgroupInTurns(
  path: string,
  signal: number,
  isStillMeant: () => boolean = () => true,
): Promise<void> {
  const steps = killSteps(path, signal);
  try {
    for (let count = 1; steps.next().done !== true; count++) {
      if (count % GROUPS_PER_TURN !== 0) continue;
      await new Promise<void>((resolve) => inNextTurn(resolve));
      if (!isStillMeant()) return;
    }
  } finally {
    steps.return(null);
  }
}

/** Does what `killCgroup()` says; each `next()` visits one group. */
function* killSteps(path: string, signal: number): Generator<void, number | null> {
  if (signal === SIGKILL && killAtOnce(path)) return null;
  const done = new Set<number>([process.pid]);
  let visited = 0;
  for (let round = 0; round < KILL_ROUNDS; round++) {
    const before = done.size;
    for (const { group, left } of walkGroups(cgroupDirectory(path))) {
      if (left !== null) continue;
      signalNew(group, signal, done);
      if (++visited === GROUPS_LIMIT) return done.size - 1;
      yield;
    }
    if (done.size === before) break;
  }
  return done.size - 1;
}

function killAtOnce(path: string): boolean {
  if (!cgroupRoot().unified || isOwnOrAbove(path)) return false;
  // The file is missing before Linux 5.14, and where the group is missing.
  return ifThere(() => writeAttribute(path, "cgroup.kill", "1")) !== null;
}

/** Whether this process is in the group or below it. */
function isOwnOrAbove(path: string): boolean {
  return `${cgroupOfProcess(process.pid)}/`.startsWith(path.endsWith("/") ? path : `${path}/`);
}

/** Signals the processes of a group that are not in `done`, and adds those that got it. */
function signalNew(group: Fd, signal: number, done: Set<number>): void {
  const fresh = processesIn(group).filter((pid) => !done.has(pid));
  while (fresh.length > 0) {
    for (const pid of signalSome(group, fresh, signal)) done.add(pid);
  }
}

/**
 * Takes some processes off the list, signals those that are in the group, and returns them. Opens their pidfds before
 * reading the group again, because their PIDs may have been reused.
 */
function signalSome(group: Fd, pids: number[], signal: number): number[] {
  using owned = new DisposableStack();
  // Keeps a descriptor for reading the group.
  const reserve = owned.use(group.duplicate());
  const opened = openSome(pids).map((process) => owned.use(process));
  reserve.close();
  const members = new Set(processesIn(group));
  const reached = (process: PidRef) => {
    process.requireAlive();
    process.kill(signal);
    return true;
  };
  return opened
    .filter((process) => members.has(process.pid) && unlessErrno(() => reached(process), false, "ESRCH"))
    .map(({ pid }) => pid);
}

/** Takes processes off the list and opens them, as many as there are descriptors; at least one that has not ended. */
function openSome(pids: number[]): PidRef[] {
  const opened: PidRef[] = [];
  while (opened.length < SIGNALLED_AT_ONCE) {
    const pid = pids.pop();
    if (pid === undefined) break;
    try {
      opened.push(PidRef.of(pid));
    } catch (error) {
      if (isErrno(error, "ESRCH")) continue;
      if (opened.length === 0) throw error;
      pids.push(pid);
      break;
    }
  }
  return opened;
}

/** Makes a group, and the groups above it where they are missing. */
export function createCgroup(path: string): void {
  let made = "";
  for (const part of path.split("/").filter((name) => name !== "")) {
    made += `/${part}`;
    if (!cgroupExists(made)) makeDirectory(cgroupDirectory(made), 0o755);
  }
}

/** Moves a process (0: this one) into a group. */
export function attachProcess(path: string, pid: number): void {
  writeAttribute(path, "cgroup.procs", String(pid));
}

/** Removes a group and the groups below it, if it exists. Throws `EBUSY` where a process is in it. */
export function removeCgroup(path: string): void {
  if (path === "/") throw new SyscallError("rmdir", "EBUSY", path);
  for (const { group, left } of walkGroups(cgroupDirectory(path))) if (left !== null) removeChild(group, left);
  removeLeafCgroup(path);
}

/** Removes a group, if it exists. Throws `EBUSY` where a process or another group is in it. */
export function removeLeafCgroup(path: string): void {
  ifThere(() => removeDirectory(cgroupDirectory(path)));
}

/**
 * Returns the text of an attribute of a group, such as "memory.current". Throws `ENOENT` where group or attribute is
 * missing.
 */
export function readAttribute(path: string, name: string): string {
  using file = openPath(`${cgroupDirectory(path)}/${name}`, "read");
  return readRegular(file, LIMIT_BYTES).toString();
}

/** Writes an attribute of a group. */
export function writeAttribute(path: string, name: string, value: string): void {
  using file = openPath(`${cgroupDirectory(path)}/${name}`, "write");
  writeSome(file, Buffer.from(value));
}

/**
 * Returns the result of `look`; null where the group or its file is missing, because it may be removed at any moment.
 */
function ifThere<T>(look: () => T): T | null {
  return unlessErrno(look, null, ...GROUP_GONE);
}
