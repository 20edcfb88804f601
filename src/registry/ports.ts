// The interfaces that the registry needs. Their implementations: machined/machines/systemd1.ts (PID 1 over D-Bus), and
// machined/machines/own-cgroups.ts (hosts where systemd is not PID 1).
import type { PidRef } from "../kernel/process/pidref.ts";

export type { Log } from "../base/log.ts";

/** A property as StartTransientUnit takes it: name, D-Bus signature, value. */
export type UnitProperty = readonly [name: string, signature: string, value: unknown];

export interface ScopeRequest {
  /** "machine-web\x2d1.scope" */
  readonly unit: string;
  readonly description: string;
  readonly leader: PidRef;
  /** The user that registers the machine; the scope runs as that user where it is not root. */
  readonly uid: number;
  /** The caller's properties, verbatim and last, so that they override. */
  readonly properties: readonly UnitProperty[];
}

/** The place of a process: its unit, the cgroup below that unit ("" for the unit's own), the whole cgroup path. */
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
  /** A unit changed or was removed: the machines in it are checked. */
  unitChanged(unit: string): void;
  /** The manager was reloaded: all machines are checked. */
  reloaded(): void;
  /**
   * The manager begins to stop all units: the host shuts down, or the user's last session ends. False where that was
   * cancelled.
   */
  stopping(isStopping: boolean): void;
}

/** Which units a service manager starts at boot. All failures are errors with a D-Bus or errno name. */
export interface UnitFiles {
  /** Whether a unit is enabled permanently; false for an unknown one. */
  isEnabled(unit: string): Promise<boolean>;
  enable(units: readonly string[]): Promise<void>;
  disable(units: readonly string[]): Promise<void>;
  /** Makes the manager read changed unit files. */
  reload(): Promise<void>;
}

/** Starts, stops and describes the units that hold machines. All failures are errors with a D-Bus or errno name. */
export interface ServiceManager {
  /**
   * Makes a scope for the leader. Resolves once its start is queued, with the job to wait for (null: it has started).
   */
  createScope(request: ScopeRequest): Promise<{ job: string | null }>;
  /** Waits for a job; returns its result ("done", "failed", …). */
  jobResult(job: string): Promise<string>;
  /** Whether a job that an earlier daemon queued is still pending. */
  isJobPending(job: string): Promise<boolean>;
  /**
   * Queues the stop of a machine's unit; returns the job, or null where there is no such unit any more. Before a
   * further attempt, after a wait, `isStillMeant` tells whether the unit is not another machine's by then.
   */
  stopUnit(unit: string, leader: PidRef, isStillMeant: () => boolean): Promise<string | null>;
  /**
   * Sends a signal to all processes of a unit, or of the cgroup below it that the place names. Before a further
   * attempt, after a wait, `isStillThere` tells whether the place is still the machine's.
   */
  killUnit(place: UnitPlace, leader: PidRef, signal: number, isStillThere: () => boolean): Promise<void>;
  /** Whether a unit is active or changing (false where it is unknown), and the job that is queued for it. */
  unitState(unit: string): Promise<UnitState>;
  /** The scopes that are named as those of machines and are neither inactive nor failed. */
  machineScopes(): Promise<readonly string[]>;
  /** Returns the place of a process, or null where it is in no unit. Throws SyscallError when the process has ended. */
  placeOf(pid: number): UnitPlace | null;
}
