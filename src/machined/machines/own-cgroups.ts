// ServiceManager on hosts where systemd is not PID 1: scopes are cgroups of our own below /machine.slice. Where no
// cgroup can be made (none mounted, or read-only), a scope is the leader and its descendants. Scopes are not stored: a
// scope is found by its name and leader, so that a restart loses nothing. A daemon beside the host's has a slice of its
// own, and touches no other: both may have a machine of the same name.

import { readdirSync } from "node:fs";
import { unlessNoProcess } from "../../base/absence.ts";
import { errnoNameOf } from "../../base/error.ts";
import { unitOfCgroup } from "../../base/names.ts";
import { SYSTEMD1_NAME } from "../../base/vocabulary/bus-peers.ts";
import { BusError } from "../../ipc/bus/error.ts";
import {
  attachProcess,
  cgroupExists,
  cgroupOrRoot,
  createCgroup,
  isCgroupPopulated,
  killCgroup,
  killCgroupInTurns,
  removeCgroup,
  removeLeafCgroup,
} from "../../kernel/cgroup/cgroup.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import { processParent } from "../../kernel/process/process-file.ts";
import { unlessErrno } from "../../kernel/syscall/sys.ts";
import type { Log, ScopeRequest, ServiceManager, UnitPlace, UnitState } from "../../registry/ports.ts";

/** The cgroup of the host's machines. */
export const MACHINE_SLICE = "/machine.slice";

/** Returns the cgroup of the machines of a daemon whose sockets and files are not in the host's directory. */
export function sliceOf(runtimeDirectory: string): string {
  return `${MACHINE_SLICE}/machine-${Bun.hash(runtimeDirectory).toString(16)}.slice`;
}

const SIGTERM = 15;
const SIGKILL = 9;
const SIGCONT = 18;
/** How long processes may take to end before they are killed; systemd's DefaultTimeoutStopSec is 90 s. */
const STOP_TIMEOUT_MS = 10_000;
const STOP_POLL_MS = 50;

export class OwnCgroups implements ServiceManager {
  readonly #log: Log;
  readonly #slice: string;
  readonly #stopTimeoutMs: number;
  /** Cgroups that are being stopped, by unit. */
  readonly #stopping = new Map<string, CgroupMembers>();

  /** `slice`: the cgroup of the scopes. `stopTimeoutMs`: a shorter time for tests. */
  constructor(log: Log, slice: string = MACHINE_SLICE, stopTimeoutMs: number = STOP_TIMEOUT_MS) {
    this.#log = log;
    this.#slice = slice;
    this.#stopTimeoutMs = stopTimeoutMs;
  }

  async createScope({ unit, leader }: ScopeRequest): Promise<{ job: null }> {
    const path = this.#pathOf(unit);
    // Processes of a machine that was unregistered: they are not the new machine's, and must not end with it.
    if (isPopulatedGroup(path)) {
      throw new BusError(`${SYSTEMD1_NAME}.UnitExists`, `Unit ${unit} was already loaded or has a fragment file.`);
    }
    // No process is left in it, so that an earlier stop of this unit has nothing left to kill: it must not kill the new
    // processes.
    this.#stopping.get(unit)?.abandon();
    this.#stopping.delete(unit);
    try {
      createCgroup(path);
      leader.requireAlive();
      attachProcess(path, leader.pid);
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      this.#log.debug(`No cgroup for ${unit}, its processes are found by their parents: ${(error as Error).message}`);
    }
    leader.requireAlive();
    return { job: null };
  }

  jobResult(): Promise<string> {
    return Promise.resolve("done");
  }

  isJobPending(): Promise<boolean> {
    return Promise.resolve(false);
  }

  async stopUnit(unit: string, leader: PidRef): Promise<null> {
    // A unit that is being stopped is asked again, and the stop that has begun kills what remains: a machine that was
    // terminated is stopped once more when it has ended.
    const begun = this.#stopping.get(unit);
    const members = begun ?? this.#membersOf(unit, leader);
    try {
      members.signal(SIGTERM);
      members.signal(SIGCONT);
    } catch (error) {
      if (begun === undefined) members[Symbol.dispose]();
      throw error;
    }
    if (begun !== undefined) return null;
    if (members instanceof CgroupMembers) this.#begin(unit, members);
    this.#escalate(members, performance.now() + this.#stopTimeoutMs);
    return null;
  }

  #begin(unit: string, members: CgroupMembers): void {
    this.#stopping.set(unit, members);
    members.ended = () => {
      if (this.#stopping.get(unit) === members) this.#stopping.delete(unit);
    };
  }

  /**
   * Kills the processes that have not ended in time, and removes the cgroup once it is empty. What fails, for lack of a
   * descriptor for example, is tried again for as long.
   */
  #escalate(members: Members, deadline: number): void {
    const end = () => {
      members.removeGroup();
      members[Symbol.dispose]();
    };
    const nowMs = performance.now();
    try {
      if (!members.anyAlive()) {
        end();
        return;
      }
      if (nowMs >= deadline) {
        members.signal(SIGKILL);
        setTimeout(end, STOP_POLL_MS);
        return;
      }
    } catch (error) {
      this.#log.debug(`Cannot end the processes of a scope: ${(error as Error).message}`);
      if (errnoNameOf(error) === null || nowMs >= deadline + this.#stopTimeoutMs) {
        members[Symbol.dispose]();
        throw error;
      }
    }
    setTimeout(() => this.#escalate(members, deadline), STOP_POLL_MS);
  }

  async killUnit(place: UnitPlace, leader: PidRef, signal: number, isStillThere: () => boolean): Promise<void> {
    const path = this.#pathOf(place.unit);
    if (place.subgroup !== "" || cgroupExists(path)) {
      const group = place.subgroup === "" ? path : `${path}/${place.subgroup}`;
      await killCgroupInTurns(group, signal, isStillThere);
      return;
    }
    using members = new Descendants(leader);
    members.signal(signal);
  }

  async unitState(unit: string): Promise<UnitState> {
    return { isActive: isPopulatedGroup(this.#pathOf(unit)), job: null };
  }

  /** Returns none: no command could stop such a cgroup by its name, so that reporting it would not help. */
  machineScopes(): Promise<readonly string[]> {
    return Promise.resolve([]);
  }

  /**
   * Returns the place of a process. A process that is in none of our cgroups counts as the only one of its own unit.
   */
  placeOf(pid: number): UnitPlace {
    const cgroup = cgroupOrRoot(pid);
    const found = cgroup.startsWith(`${this.#slice}/`) ? unitOfCgroup(cgroup) : null;
    return found === null
      ? { unit: `process-${pid}.scope`, subgroup: "", cgroup: "" }
      : { unit: found.unit, subgroup: found.subgroup, cgroup };
  }

  #pathOf(unit: string): string {
    return `${this.#slice}/${unit}`;
  }

  #membersOf(unit: string, leader: PidRef): Members {
    const path = this.#pathOf(unit);
    return cgroupExists(path) ? new CgroupMembers(path, this.#slice) : new Descendants(leader);
  }
}

/** Returns false where no hierarchy is mounted. */
function isPopulatedGroup(path: string): boolean {
  return unlessErrno(() => isCgroupPopulated(path), false, "ENOENT");
}

/** The processes of a scope; the caller disposes of them. */
interface Members extends Disposable {
  signal(signal: number): void;
  anyAlive(): boolean;
  /** Removes their cgroup, if they have one. */
  removeGroup(): void;
}

class CgroupMembers implements Members {
  readonly #path: string;
  readonly #slice: string;
  #isAbandoned = false;
  /** Called when their stop has ended. */
  ended: () => void = () => {};

  constructor(path: string, slice: string) {
    this.#path = path;
    this.#slice = slice;
  }

  /** Ends the stop of a cgroup whose name belongs to another machine now. */
  abandon(): void {
    this.#isAbandoned = true;
  }

  signal(signal: number): void {
    if (!this.#isAbandoned) killCgroup(this.#path, signal);
  }

  anyAlive(): boolean {
    return !this.#isAbandoned && isCgroupPopulated(this.#path);
  }

  removeGroup(): void {
    if (this.#isAbandoned) return;
    try {
      removeCgroup(this.#path);
      // A slice of its own ends with the last scope.
      if (this.#slice !== MACHINE_SLICE) removeLeafCgroup(this.#slice);
    } catch {
      // A process, or a zombie that has not been reaped, keeps its cgroup; an empty cgroup does no harm.
    }
  }

  [Symbol.dispose](): void {
    this.ended();
  }
}

/** The leader and its descendants, which are pinned when they are found. */
class Descendants implements Members {
  readonly #processes: PidRef[];

  constructor(leader: PidRef) {
    using owned = new DisposableStack();
    this.#processes = [owned.use(leader.duplicate()), ...descendantsOf(leader)];
    owned.move();
  }

  signal(signal: number): void {
    for (const process of this.#processes) {
      try {
        process.kill(signal);
      } catch (error) {
        if (errnoNameOf(error) !== "ESRCH") throw error;
      }
    }
  }

  anyAlive(): boolean {
    return this.#processes.some((process) => process.isAlive());
  }

  removeGroup(): void {}

  [Symbol.dispose](): void {
    for (const process of this.#processes) process[Symbol.dispose]();
  }
}

/**
 * Returns the leader's descendants; none once the leader has ended, because its number may be another process's. Other
 * processes of the host take no descriptor: only those that are found are pinned.
 */
function descendantsOf(leader: PidRef): PidRef[] {
  // Nearly all machines whose scope is stopped have ended: reading all processes for each of them is slow.
  if (!leader.isAlive()) return [];
  using owned = new DisposableStack();
  const children = childrenByParent();
  const found: PidRef[] = [];
  const parents = [leader];
  for (let parent = parents.pop(); parent !== undefined; parent = parents.pop()) {
    for (const pid of children.get(parent.pid) ?? []) {
      const child = childOf(parent, pid);
      if (child === null) continue;
      found.push(owned.use(child));
      parents.push(child);
    }
    children.delete(parent.pid);
  }
  owned.move();
  return found;
}

/** Returns the numbers of all processes, by the number of their parent. */
function childrenByParent(): Map<number, number[]> {
  const children = new Map<number, number[]>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    const pid = Number(entry);
    // A process whose parent cannot be read, for lack of descriptors, must not escape its signal: that is an error.
    const parent = unlessNoProcess(() => processParent(pid), null);
    if (parent === null) continue;
    const siblings = children.get(parent);
    if (siblings === undefined) children.set(parent, [pid]);
    else siblings.push(pid);
  }
  return children;
}

/** Returns the process of that number; null where it has ended, or is another one by now, which is no child. */
function childOf(parent: PidRef, pid: number): PidRef | null {
  return unlessNoProcess(() => {
    using owned = new DisposableStack();
    const child = owned.use(PidRef.of(pid));
    if (child.parentPid() !== parent.pid || !parent.isAlive()) return null;
    owned.move();
    return child;
  }, null);
}
