// ServiceManager on hosts where systemd is PID 1 (org.freedesktop.systemd1(5)).
//
// Scopes are made with the original's properties except AddRef: for each reference PID 1 keeps a match rule on the bus,
// and dbus-daemon throws it off the bus at its 512th. What AddRef was for, a unit that stays described until its end was
// seen, is not needed: the leader's pidfd tells of the end (docs/decisions/0005-no-addref.md).
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { unitOfCgroup } from "../../base/names.ts";
import { Variant } from "../../base/variant.ts";
import { systemdVersion } from "../../daemon/host.ts";
import type { BusClient } from "../../ipc/bus/client.ts";
import type { BusCall } from "../../ipc/bus/connection.ts";
import { BusError } from "../../ipc/bus/error.ts";
import { cgroupOfProcess, killCgroup } from "../../kernel/process/cgroup.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import type {
  ScopeRequest,
  ServiceManager,
  ServiceManagerEvents,
  UnitFiles,
  UnitPlace,
  UnitState,
} from "../../registry/ports.ts";

const NAME = "org.freedesktop.systemd1";
const MANAGER = { destination: NAME, path: "/org/freedesktop/systemd1", interface: `${NAME}.Manager` };
const DRIVER = { path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };
const START_SIGNATURE = "ssa(sv)a(sa(sv))";
const TASKS_MAX = 16384n;
/** Results of jobs that ended before anyone asked: a signal can overtake the reply that names its job. */
const FINISHED_LIMIT = 4096;
const GONE = /\.(NoSuchUnit|LoadFailed|NoSuchJob)$/;
/** The manager went away before it answered (it executes itself anew on daemon-reexec), is not there yet, or is busy. */
const UNANSWERED = /\.(NoReply|Disconnected|ServiceUnknown|NameHasNoOwner|Timeout|TimedOut)$/;
/** How long it may take to come back: less than callers wait, so that nothing is done for one who has given up. */
const COMEBACK_MS = 20_000;
const COMEBACK_POLL_MS = 50;

interface Job {
  readonly unit: string;
  /** Whether the unit is active when the job is done. */
  readonly makesActive: boolean;
}

interface Waiting {
  readonly result: Promise<string>;
  settle(result: string): void;
}

export class Systemd1 implements ServiceManager, UnitFiles {
  #bus: BusClient | null = null;
  readonly #scope: "system" | "user";
  readonly #events: ServiceManagerEvents;
  readonly #waiting = new Map<string, Waiting>();
  /** What each queued job of ours does, until its result is known. */
  readonly #jobs = new Map<string, Job>();
  readonly #finished = new Map<string, string>();
  /** Before 253 a scope takes PIDs only; found out once. */
  #takesPidfds = true;

  constructor(scope: "system" | "user", events: ServiceManagerEvents) {
    this.#scope = scope;
    this.#events = events;
  }

  /** Listens to the manager on this bus from now on; called again after the bus was lost. */
  async attach(bus: BusClient): Promise<void> {
    bus.onClose(() => {
      if (this.#bus === bus) this.#bus = null;
    });
    const rule = { sender: NAME, path: MANAGER.path, interface: MANAGER.interface };
    await Promise.all([
      bus.subscribe({ ...rule, member: "JobRemoved" }, ([, job, , result]) =>
        this.#jobRemoved(job as string, result as string),
      ),
      bus.subscribe({ ...rule, member: "UnitRemoved" }, ([unit]) => this.#events.unitChanged(unit as string)),
      bus.subscribe({ ...rule, member: "Reloading" }, ([active]) => {
        if (active === false) this.#comeBack();
      }),
      bus.subscribe({ ...DRIVER, sender: DRIVER.interface, member: "NameOwnerChanged", arg0: NAME }, ([, , owner]) => {
        if (owner !== "") void this.#subscribe(bus).then(() => this.#comeBack());
      }),
    ]);
    await this.#subscribe(bus);
    this.#bus = bus;
    this.#comeBack();
  }

  async #subscribe(bus: BusClient): Promise<void> {
    await bus.call({ ...MANAGER, member: "Subscribe" }).catch((error: unknown) => {
      // Someone with our name subscribed before us: fine.
      if (!(error instanceof BusError)) throw error;
    });
  }

  /** Signals may have been missed: looks again at everything that was to be told by one. */
  #comeBack(): void {
    this.#events.reloaded();
    for (const job of this.#waiting.keys()) void this.#lookAfter(job);
  }

  /** Settles a job that has ended unheard. Where even that cannot be found out, the next comeback looks again. */
  async #lookAfter(job: string): Promise<void> {
    const known = this.#jobs.get(job);
    try {
      if (await this.isJobPending(job)) return;
      // Of a job that an earlier daemon queued nobody wants the result.
      const isDone = known === undefined || (await this.unitState(known.unit)).isActive === known.makesActive;
      if (this.#waiting.has(job)) this.#jobRemoved(job, isDone ? "done" : "failed");
    } catch {
      // PID 1 is away again
    }
  }

  #jobRemoved(job: string, result: string): void {
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

  #call(member: string, signature: string, body: readonly unknown[]): Promise<unknown[]> {
    return this.#ask({ ...MANAGER, member, signature, body });
  }

  /** A call that was not answered because the manager was away is made again when it is back. For what may be done twice. */
  #ask(call: BusCall): Promise<unknown[]> {
    return this.#insist(() => this.#askOnce(call));
  }

  #askOnce(call: BusCall): Promise<unknown[]> {
    return this.#bus === null ? Promise.reject(notConnected()) : this.#bus.call(call);
  }

  async #insist<Answer>(attempt: () => Promise<Answer>): Promise<Answer> {
    for (const deadline = performance.now() + COMEBACK_MS; ; ) {
      try {
        return await attempt();
      } catch (error) {
        if (!isUnanswered(error) || performance.now() > deadline) throw error;
        await Bun.sleep(COMEBACK_POLL_MS);
      }
    }
  }

  async createScope(request: ScopeRequest): Promise<{ job: string | null }> {
    // As it is now: another call may find out meanwhile that the manager does not take them.
    const byPidfd = this.#takesPidfds && request.leader.pidfd !== null;
    try {
      return { job: await this.#makeScope(request, byPidfd) };
    } catch (error) {
      const refused = error instanceof BusError && /\.(UnknownProperty|PropertyReadOnly)$/.test(error.errorName);
      if (!refused || !byPidfd || !/PIDFDs/.test(error.message)) throw error;
      this.#takesPidfds = false;
      return { job: await this.#makeScope(request, false) };
    }
  }

  /** Without an answer the scope may have been made or not: that is looked for before it is asked for again. */
  async #makeScope(request: ScopeRequest, byPidfd: boolean): Promise<string | null> {
    let isUncertain = false;
    return this.#insist(async () => {
      if (isUncertain) {
        const { isActive, job } = await this.unitState(request.unit);
        if (isActive || job !== null) return this.#queued(job, { unit: request.unit, makesActive: true });
        request.leader.requireAlive();
      }
      isUncertain = true;
      const job = await this.#startScope(request, byPidfd);
      return this.#queued(job, { unit: request.unit, makesActive: true });
    });
  }

  #queued(job: string | null, what: Job): string | null {
    if (job !== null && !this.#finished.has(job)) this.#jobs.set(job, what);
    return job;
  }

  async #startScope(request: ScopeRequest, byPidfd: boolean): Promise<string> {
    const { leader } = request;
    if (!byPidfd) leader.requireAlive();
    const properties: [string, Variant][] = [
      ["Slice", new Variant("s", "machine.slice")],
      ["Description", new Variant("s", request.description)],
      byPidfd ? ["PIDFDs", new Variant("ah", [leader.pidfd])] : ["PIDs", new Variant("au", [leader.pid])],
      ["Delegate", new Variant("b", true)],
      ["CollectMode", new Variant("s", "inactive-or-failed")],
      ["TasksMax", new Variant("t", TASKS_MAX)],
    ];
    if (request.uid !== 0 && this.#scope === "system") properties.push(["User", new Variant("s", String(request.uid))]);
    for (const [name, signature, value] of request.properties) properties.push([name, new Variant(signature, value)]);
    const body = [request.unit, "fail", properties, []];
    const [job] = await this.#askOnce({ ...MANAGER, member: "StartTransientUnit", signature: START_SIGNATURE, body });
    return job as string;
  }

  jobResult(job: string): Promise<string> {
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

  async isJobPending(job: string): Promise<boolean> {
    try {
      await this.#property(job, `${NAME}.Job`, "State");
      return true;
    } catch (error) {
      if (isUnanswered(error)) throw error;
      return false;
    }
  }

  /** "replace": a start job that is still queued, of whoever, must not keep a machine from being ended. */
  async stopUnit(unit: string): Promise<string | null> {
    try {
      const [job] = await this.#call("StopUnit", "ss", [unit, "replace"]);
      return this.#queued(job as string, { unit, makesActive: false });
    } catch (error) {
      if (error instanceof BusError && GONE.test(error.errorName)) return null;
      throw error;
    }
  }

  async killUnit(place: UnitPlace, _leader: PidRef, signal: number, isStillThere: () => boolean): Promise<void> {
    if (place.subgroup === "") {
      await this.#call("KillUnit", "ssi", [place.unit, "all", signal]);
      return;
    }
    try {
      await this.#call("KillUnitSubgroup", "sssi", [place.unit, "cgroup", place.subgroup, signal]);
    } catch (error) {
      // Before 258 the manager cannot: the processes are found by their cgroup.
      if (!(error instanceof BusError) || !error.isMissing) throw error;
      if (isStillThere()) killCgroup(place.cgroup, signal);
    }
  }

  async isEnabled(unit: string): Promise<boolean> {
    if (this.#bus === null) return false;
    try {
      const [state] = await this.#call("GetUnitFileState", "s", [unit]);
      return state === "enabled";
    } catch (error) {
      // No such template: nothing of it can be enabled.
      if (errnoNameOf(error) === "ENOENT") return false;
      throw error;
    }
  }

  async enable(units: readonly string[]): Promise<void> {
    await this.#call("EnableUnitFiles", "asbb", [units, false, false]);
  }

  async disable(units: readonly string[]): Promise<void> {
    await this.#call("DisableUnitFiles", "asb", [units, false]);
  }

  async reload(): Promise<void> {
    await this.#call("Reload", "", []);
  }

  async unitState(unit: string): Promise<UnitState> {
    try {
      const [path] = (await this.#call("GetUnit", "s", [unit])) as [string];
      const [state, job] = await Promise.all([
        this.#property(path, `${NAME}.Unit`, "ActiveState"),
        this.#property(path, `${NAME}.Unit`, "Job"),
      ]);
      const [number, jobPath] = job as [number, string];
      return { isActive: state !== "inactive" && state !== "failed", job: number === 0 ? null : jobPath };
    } catch (error) {
      if (error instanceof BusError && GONE.test(error.errorName)) return { isActive: false, job: null };
      throw error;
    }
  }

  placeOf(pid: number): UnitPlace | null {
    const cgroup = cgroupOfProcess(pid);
    const found = unitOfCgroup(this.#scope === "user" ? belowUserManager(cgroup) : cgroup);
    return found === null ? null : { unit: found.unit, subgroup: found.subgroup, cgroup };
  }

  /** The manager's version, or null where it does not say. */
  version(): Promise<number | null> {
    return systemdVersion((call) => this.#ask(call));
  }

  async #property(path: string, iface: string, name: string): Promise<unknown> {
    const call = { destination: NAME, path, interface: "org.freedesktop.DBus.Properties", member: "Get" };
    const [value] = await this.#ask({ ...call, signature: "ss", body: [iface, name] });
    return (value as Variant).value;
  }
}

/** The part of a path that a user's manager manages; what is outside of it is in no unit of that manager. */
function belowUserManager(cgroup: string): string {
  return /\/user@\d+\.service(\/.*)$/.exec(cgroup)?.[1] ?? "/";
}

function isUnanswered(error: unknown): boolean {
  if (error instanceof BusError) return UNANSWERED.test(error.errorName);
  return errnoNameOf(error) === "ENOTCONN";
}

function notConnected(): ErrnoError {
  return new ErrnoError("ENOTCONN", "No connection to the service manager");
}
