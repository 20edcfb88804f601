// ServiceManager on hosts where systemd is not PID 1: scopes are cgroups of our own below /machine.slice. Where no
// cgroup can be made (none mounted, or read-only), a scope is the leader and what descends from it. Nothing about it is
// remembered: a scope is found again by its name and leader, so a restart loses nothing.
import { readdirSync } from "node:fs";
import { errnoNameOf } from "../base/error.ts";
import { unitOfCgroup } from "../base/names.ts";
import {
  attachProcess,
  cgroupExists,
  cgroupOfProcess,
  createCgroup,
  isCgroupPopulated,
  killCgroup,
  removeCgroup,
} from "../kernel/cgroup.ts";
import { PidRef } from "../kernel/pidref.ts";
import type { Log, ScopeRequest, ServiceManager, UnitPlace, UnitState } from "../registry/ports.ts";

const SLICE = "/machine.slice";
const SIGTERM = 15;
const SIGKILL = 9;
const SIGCONT = 18;
/** How long processes may take to end before they are killed (systemd's DefaultTimeoutStopSec is 90 s). */
const STOP_TIMEOUT_MS = 10_000;
const STOP_POLL_MS = 50;

export class OwnCgroups implements ServiceManager {
  readonly #log: Log;

  constructor(log: Log) {
    this.#log = log;
  }

  async createScope({ unit, leader }: ScopeRequest): Promise<{ job: null }> {
    const path = `${SLICE}/${unit}`;
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
    members.signal(SIGTERM);
    members.signal(SIGCONT);
    this.#escalate(members, Date.now() + STOP_TIMEOUT_MS);
    return null;
  }

  /** Kills what has not ended in time, and removes the cgroup once it is empty. */
  #escalate(members: Members, deadline: number): void {
    if (!members.anyAlive()) members.remove();
    else if (Date.now() >= deadline) {
      members.signal(SIGKILL);
      setTimeout(() => members.remove(), STOP_POLL_MS);
    } else setTimeout(() => this.#escalate(members, deadline), STOP_POLL_MS);
  }

  async killUnit(place: UnitPlace, leader: PidRef, signal: number): Promise<void> {
    membersOf(place.unit, leader).signal(signal);
  }

  async unitState(unit: string): Promise<UnitState> {
    return { isActive: isCgroupPopulated(`${SLICE}/${unit}`), job: null };
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

/** The processes of a scope. */
interface Members {
  signal(signal: number): void;
  anyAlive(): boolean;
  remove(): void;
}

function membersOf(unit: string, leader: PidRef): Members {
  const path = `${SLICE}/${unit}`;
  return cgroupExists(path) ? new CgroupMembers(path) : new Descendants(leader);
}

class CgroupMembers implements Members {
  readonly #path: string;

  constructor(path: string) {
    this.#path = path;
  }

  signal(signal: number): void {
    killCgroup(this.#path, signal);
  }

  anyAlive(): boolean {
    return isCgroupPopulated(this.#path);
  }

  remove(): void {
    try {
      removeCgroup(this.#path);
    } catch {
      // A zombie that nobody has reaped yet keeps it; an empty cgroup is no burden.
    }
  }
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

  remove(): void {
    for (const process of this.#processes) process[Symbol.dispose]();
  }
}

/** Nobody once the leader is gone: its number may be another process's, and that one's children are none of its. */
function descendantsOf(leader: PidRef): PidRef[] {
  const parents = new Map<number, PidRef[]>();
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const process = PidRef.of(Number(entry));
      const parent = process.parentPid();
      parents.set(parent, [...(parents.get(parent) ?? []), process]);
    } catch {
      // ended while we looked
    }
  }
  const found: PidRef[] = [];
  const queue = leader.isAlive() ? [leader.pid] : [];
  for (let pid = queue.pop(); pid !== undefined; pid = queue.pop()) {
    for (const child of parents.get(pid) ?? []) {
      found.push(child);
      queue.push(child.pid);
    }
    parents.delete(pid);
  }
  for (const others of parents.values()) for (const other of others) other[Symbol.dispose]();
  return found;
}
