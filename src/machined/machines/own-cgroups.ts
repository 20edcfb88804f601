// ServiceManager on hosts where systemd is not PID 1: scopes are cgroups of our own below /machine.slice. Where no
// cgroup can be made (none mounted, or read-only), a scope is the leader and what descends from it. Nothing about it is
// remembered: a scope is found again by its name and leader, so a restart loses nothing.
import { readdirSync } from "node:fs";
import { errnoNameOf } from "../../base/error.ts";
import { unitOfCgroup } from "../../base/names.ts";
import {
  attachProcess,
  cgroupExists,
  cgroupOfProcess,
  createCgroup,
  isCgroupPopulated,
  killCgroup,
  removeCgroup,
} from "../../kernel/process/cgroup.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import type { Log, ScopeRequest, ServiceManager, UnitPlace, UnitState } from "../../registry/ports.ts";

const SLICE = "/machine.slice";
const SIGTERM = 15;
const SIGKILL = 9;
const SIGCONT = 18;
/** How long processes may take to end before they are killed (systemd's DefaultTimeoutStopSec is 90 s). */
const STOP_TIMEOUT_MS = 10_000;
const STOP_POLL_MS = 50;

export class OwnCgroups implements ServiceManager {
  readonly #log: Log;
  readonly #stopTimeoutMs: number;
  /** Cgroups that a stop is under way for, by the unit. */
  readonly #stopping = new Map<string, CgroupMembers>();

  /** `stopTimeoutMs`: another than the usual one, for tests. */
  constructor(log: Log, stopTimeoutMs: number = STOP_TIMEOUT_MS) {
    this.#log = log;
    this.#stopTimeoutMs = stopTimeoutMs;
  }

  async createScope({ unit, leader }: ScopeRequest): Promise<{ job: null }> {
    const path = `${SLICE}/${unit}`;
    // Whoever was to be ended there has ended, or the name would not be free. What comes now is somebody else.
    this.#stopping.get(unit)?.abandon();
    this.#stopping.delete(unit);
    try {
      createCgroup(path);
      leader.requireAlive();
      attachProcess(path, leader.pid);
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      this.#log.debug(`No cgroup for ${unit}, its processes are told by their parents: ${(error as Error).message}`);
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
    const members = membersOf(unit, leader);
    try {
      if (members instanceof CgroupMembers) this.#stopping.set(unit, members);
      members.signal(SIGTERM);
      members.signal(SIGCONT);
    } catch (error) {
      members[Symbol.dispose]();
      throw error;
    }
    this.#escalate(members, performance.now() + this.#stopTimeoutMs);
    return null;
  }

  /** Kills what has not ended in time, and removes the cgroup once it is empty. */
  #escalate(members: Members, deadline: number): void {
    if (!members.anyAlive()) {
      members.removeGroup();
      members[Symbol.dispose]();
    } else if (performance.now() >= deadline) {
      members.signal(SIGKILL);
      setTimeout(() => {
        members.removeGroup();
        members[Symbol.dispose]();
      }, STOP_POLL_MS);
    } else setTimeout(() => this.#escalate(members, deadline), STOP_POLL_MS);
  }

  async killUnit(place: UnitPlace, leader: PidRef, signal: number): Promise<void> {
    using members = membersOf(place.unit, leader);
    members.signal(signal);
  }

  async unitState(unit: string): Promise<UnitState> {
    return { isActive: isCgroupPopulated(`${SLICE}/${unit}`), job: null };
  }

  /** Nobody could end a cgroup without a machine by its name. */
  machineScopes(): Promise<readonly string[]> {
    return Promise.resolve([]);
  }

  /** Every process is in some unit here: where its cgroup is none of ours, in one of its own. */
  placeOf(pid: number): UnitPlace {
    const cgroup = cgroupOfProcess(pid);
    const found = cgroup.startsWith(`${SLICE}/`) ? unitOfCgroup(cgroup) : null;
    return found === null
      ? { unit: `process-${pid}.scope`, subgroup: "", cgroup: "" }
      : { unit: found.unit, subgroup: found.subgroup, cgroup };
  }
}

/** The processes of a scope; whoever looked for them lets go of them. */
interface Members extends Disposable {
  signal(signal: number): void;
  anyAlive(): boolean;
  /** Removes their cgroup, where they have one. */
  removeGroup(): void;
}

function membersOf(unit: string, leader: PidRef): Members {
  const path = `${SLICE}/${unit}`;
  return cgroupExists(path) ? new CgroupMembers(path) : new Descendants(leader);
}

class CgroupMembers implements Members {
  readonly #path: string;
  #isAbandoned = false;

  constructor(path: string) {
    this.#path = path;
  }

  /** A cgroup is known by its name: from now on it is another machine's, and nothing is done to it. */
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
    } catch {
      // A zombie that nobody has reaped yet keeps it; an empty cgroup is no burden.
    }
  }

  [Symbol.dispose](): void {}
}

/** The leader and all that descend from it, pinned when they are looked for. */
class Descendants implements Members {
  readonly #processes: PidRef[];

  constructor(leader: PidRef) {
    this.#processes = [leader.duplicate(), ...descendantsOf(leader)];
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

/** Nobody once the leader is gone: its number may be another process's, and that one's children are none of its. */
function descendantsOf(leader: PidRef): PidRef[] {
  using all = new DisposableStack();
  const children = new Map<number, PidRef[]>();
  for (const process of everyProcess()) {
    all.use(process);
    const parent = parentOf(process);
    if (parent !== null) children.set(parent, [...(children.get(parent) ?? []), process]);
  }
  const found: PidRef[] = [];
  const queue = leader.isAlive() ? [leader.pid] : [];
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    for (const child of children.get(pid) ?? []) {
      found.push(child.duplicate());
      queue.push(child.pid);
    }
    children.delete(pid);
  }
  return found;
}

function* everyProcess(): Generator<PidRef> {
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      yield PidRef.of(Number(entry));
    } catch (error) {
      if (errnoNameOf(error) !== "ESRCH") throw error;
    }
  }
}

/** Null when it has ended while we looked. */
function parentOf(process: PidRef): number | null {
  try {
    return process.parentPid();
  } catch {
    return null;
  }
}
