// What the registry needs from outside. Adapters: machined/machines/systemd1.ts (PID 1 over D-Bus), machined/machines/own-cgroups.ts
// (hosts where systemd is not PID 1).
import type { PidRef } from "../kernel/process/pidref.ts";

export type { Log } from "../base/log.ts";

/** A property as StartTransientUnit takes it: name, D-Bus signature, value. */
export type UnitProperty = readonly [name: string, signature: string, value: unknown];

export interface ScopeRequest {
  /** "machine-web\x2d1.scope" */
  readonly unit: string;
  readonly description: string;
  readonly leader: PidRef;
  /** The user that asked; the scope becomes its own where that is not root. */
  readonly uid: number;
  /** The caller's properties, verbatim and last, so that they override. */
  readonly properties: readonly UnitProperty[];
}

/** Where a process lives: its unit, the cgroup below that unit ("" for the unit's own), the whole cgroup path. */
export interface UnitPlace {
  readonly unit: string;
  readonly subgroup: string;
  readonly cgroup: string;
}

export interface UnitState {
  readonly isActive: boolean;
  readonly job: string | null;
}

export interface ServiceManagerEvents {
  /** A unit changed or went away: look at the machines in it. */
  unitChanged(unit: string): void;
  /** The manager was reloaded: look at all machines. */
  reloaded(): void;
}

/** Which units a service manager starts at boot. All failures are errors with a D-Bus or errno name. */
export interface UnitFiles {
  /** Whether a unit is enabled, lastingly; false for one that is not known. */
  isEnabled(unit: string): Promise<boolean>;
  enable(units: readonly string[]): Promise<void>;
  disable(units: readonly string[]): Promise<void>;
  /** Has the manager read what changed. */
  reload(): Promise<void>;
}

/** Starts, stops and describes the units that hold machines. All failures are errors with a D-Bus or errno name. */
export interface ServiceManager {
  /** Makes a scope around the leader. Resolves once it is queued, with the job to wait for (null: it is done). */
  createScope(request: ScopeRequest): Promise<{ job: string | null }>;
  /** Waits for a job; returns its result ("done", "failed", …). */
  jobResult(job: string): Promise<string>;
  /** Whether a job that an earlier process queued is still known. */
  isJobPending(job: string): Promise<boolean>;
  /** Queues the stop of a machine's unit; returns the job, or null where there is no such unit any more. */
  stopUnit(unit: string, leader: PidRef): Promise<string | null>;
  /**
   * Sends a signal to all processes of a unit, or of the cgroup below it that the place names. Where that takes a second
   * way after a wait, `isStillThere` is asked whether the place is still the machine's.
   */
  killUnit(place: UnitPlace, leader: PidRef, signal: number, isStillThere: () => boolean): Promise<void>;
  /** Whether a unit is neither inactive nor failed (false where it is not known), and the job that is queued for it. */
  unitState(unit: string): Promise<UnitState>;
  /** The scopes that are named as those of machines and are neither inactive nor failed. */
  machineScopes(): Promise<readonly string[]>;
  /** The unit of a process, or null for one that can be no machine's, because it is in none. Throws SyscallError when the process is gone. */
  placeOf(pid: number): UnitPlace | null;
}
