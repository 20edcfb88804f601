// Jobs of the service manager and their results: from its signals, or queried where a signal may have been missed.

import { SYSTEMD1_NAME } from "../../base/vocabulary/bus-peers.ts";
import type { UnitState } from "../../registry/ports.ts";
import { isGone, isUnanswered, type SystemdCalls } from "./systemd-calls.ts";

/** How many results are kept of jobs that nobody waits for: a signal can arrive before the reply that names its job. */
const FINISHED_LIMIT = 4096;

interface Job {
  readonly unit: string;
  /** Whether a successful job makes the unit active. */
  readonly makesActive: boolean;
}

interface Waiting {
  readonly result: Promise<string>;
  settle(result: string): void;
}

export class SystemdJobs {
  readonly #calls: SystemdCalls;
  readonly #waiting = new Map<string, Waiting>();
  /** The queued jobs of this daemon, until their results are known. */
  readonly #jobs = new Map<string, Job>();
  readonly #finished = new Map<string, string>();

  constructor(calls: SystemdCalls) {
    this.#calls = calls;
  }

  /** Adds a job that was just queued; returns the job. */
  queued(job: string | null, what: Job): string | null {
    if (job !== null && !this.#finished.has(job)) this.#jobs.set(job, what);
    return job;
  }

  /** Handles the signal JobRemoved. */
  removed(job: string, result: string): void {
    this.#jobs.delete(job);
    const waiting = this.#waiting.get(job);
    if (waiting !== undefined) {
      this.#waiting.delete(job);
      waiting.settle(result);
      return;
    }
    this.#finished.set(job, result);
    if (this.#finished.size > FINISHED_LIMIT) {
      for (const oldest of this.#finished.keys()) {
        this.#finished.delete(oldest);
        break;
      }
    }
  }

  /** Queries every job that is waited for: its signal may have been missed. */
  lookUpAll(): void {
    for (const job of this.#waiting.keys()) void this.#lookUp(job);
  }

  /** Waits for the end of a job; returns its result. */
  result(job: string): Promise<string> {
    const result = this.#finished.get(job);
    if (result !== undefined) {
      this.#finished.delete(job);
      return Promise.resolve(result);
    }
    const known = this.#waiting.get(job);
    if (known !== undefined) return known.result;
    const { promise, resolve } = Promise.withResolvers<string>();
    this.#waiting.set(job, { result: promise, settle: resolve });
    return promise;
  }

  async isPending(job: string): Promise<boolean> {
    try {
      await this.#calls.property(job, `${SYSTEMD1_NAME}.Job`, "State");
      return true;
    } catch (error) {
      if (isUnanswered(error)) throw error;
      return false;
    }
  }

  /** Returns whether a unit is active, and its queued job. */
  async unitState(unit: string): Promise<UnitState> {
    try {
      const [path] = (await this.#calls.manager("GetUnit", "s", [unit])) as [string];
      const [state, job] = await Promise.all([
        this.#calls.property(path, `${SYSTEMD1_NAME}.Unit`, "ActiveState"),
        this.#calls.property(path, `${SYSTEMD1_NAME}.Unit`, "Job"),
      ]);
      const [number, jobPath] = job as [number, string];
      return { isActive: state !== "inactive" && state !== "failed", job: number === 0 ? null : jobPath };
    } catch (error) {
      if (isGone(error)) return { isActive: false, job: null };
      throw error;
    }
  }

  /** Returns the names of units that match the pattern and are active, or will be. */
  async activeUnits(pattern: string): Promise<string[]> {
    const states = ["active", "activating", "reloading"];
    const [units] = (await this.#calls.manager("ListUnitsByPatterns", "asas", [states, [pattern]])) as [[string][]];
    return units.map(([name]) => name);
  }

  /** Settles a job whose end was not signalled. Where the query fails, the next `lookUpAll()` repeats it. */
  async #lookUp(job: string): Promise<void> {
    const known = this.#jobs.get(job);
    try {
      if (await this.isPending(job)) return;
      // The result of a job that an earlier daemon queued is not needed.
      const isDone = known === undefined || (await this.unitState(known.unit)).isActive === known.makesActive;
      if (this.#waiting.has(job)) this.removed(job, isDone ? "done" : "failed");
    } catch {
      // The manager is unavailable again.
    }
  }
}
