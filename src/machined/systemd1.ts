// ServiceManager on hosts where systemd is PID 1 (org.freedesktop.systemd1(5)).
//
// Scopes are made with the original's properties except AddRef: for each reference PID 1 keeps a match rule on the bus,
// and dbus-daemon throws it off the bus at its 512th. What AddRef was for, a unit that stays described until its end was
// seen, is not needed: the leader's pidfd tells of the end (docs/decisions/0005-no-addref.md).
import { ErrnoError, errnoNameOf } from "../base/error.ts";
import { unitOfCgroup } from "../base/names.ts";
import { Variant } from "../base/variant.ts";
import type { BusClient } from "../ipc/bus-client.ts";
import { BusError } from "../ipc/bus-error.ts";
import { cgroupOfProcess, killCgroup } from "../kernel/cgroup.ts";
import type { PidRef } from "../kernel/pidref.ts";
import type { ScopeRequest, ServiceManager, ServiceManagerEvents, UnitPlace, UnitState } from "../registry/ports.ts";

const NAME = "org.freedesktop.systemd1";
const MANAGER = { destination: NAME, path: "/org/freedesktop/systemd1", interface: `${NAME}.Manager` };
const TASKS_MAX = 16384n;
/** Results of jobs that ended before anyone asked: a signal can overtake the reply that names its job. */
const FINISHED_LIMIT = 4096;
const GONE = /\.(NoSuchUnit|LoadFailed|NoSuchJob)$/;

export class Systemd1 implements ServiceManager {
  #bus: BusClient | null = null;
  readonly #scope: "system" | "user";
  readonly #events: ServiceManagerEvents;
  readonly #waiting = new Map<string, (result: string) => void>();
  readonly #finished = new Map<string, string>();
  /** Before 253 a scope takes PIDs only; found out once. */
  #takesPidfds = true;

  constructor(scope: "system" | "user", events: ServiceManagerEvents) {
    this.#scope = scope;
    this.#events = events;
  }

  /** Listens to the manager on this bus from now on; called again after the bus was lost. */
  async attach(bus: BusClient): Promise<void> {
    this.#bus = bus;
    bus.onClose(() => this.#detach(bus));
    const rule = { sender: NAME, path: MANAGER.path, interface: MANAGER.interface };
    await Promise.all([
      bus.subscribe({ ...rule, member: "JobRemoved" }, ([, job, , result]) =>
        this.#jobRemoved(job as string, result as string),
      ),
      bus.subscribe({ ...rule, member: "UnitRemoved" }, ([unit]) => this.#events.unitChanged(unit as string)),
      bus.subscribe({ ...rule, member: "Reloading" }, ([active]) => {
        if (active === false) this.#events.reloaded();
      }),
    ]);
    await bus.call({ ...MANAGER, member: "Subscribe" }).catch((error: unknown) => {
      // Someone with our name subscribed before us: fine.
      if (!(error instanceof BusError)) throw error;
    });
  }

  #detach(bus: BusClient): void {
    if (this.#bus !== bus) return;
    this.#bus = null;
    for (const settle of this.#waiting.values()) settle("unknown");
    this.#waiting.clear();
  }

  #jobRemoved(job: string, result: string): void {
    const settle = this.#waiting.get(job);
    if (settle !== undefined) {
      this.#waiting.delete(job);
      settle(result);
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
    if (this.#bus === null) return Promise.reject(notConnected());
    return this.#bus.call({ ...MANAGER, member, signature, body });
  }

  async createScope(request: ScopeRequest): Promise<{ job: string | null }> {
    // As it is now: another call may find out meanwhile that the manager does not take them.
    const byPidfd = this.#takesPidfds && request.leader.pidfd !== null;
    try {
      return { job: await this.#startScope(request, byPidfd) };
    } catch (error) {
      const refused = error instanceof BusError && /\.(UnknownProperty|PropertyReadOnly)$/.test(error.errorName);
      if (!refused || !byPidfd || !/PIDFDs/.test(error.message)) throw error;
      this.#takesPidfds = false;
      return { job: await this.#startScope(request, false) };
    }
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
    const [job] = await this.#call("StartTransientUnit", "ssa(sv)a(sa(sv))", [request.unit, "fail", properties, []]);
    return job as string;
  }

  jobResult(job: string): Promise<string> {
    const result = this.#finished.get(job);
    if (result !== undefined) {
      this.#finished.delete(job);
      return Promise.resolve(result);
    }
    return new Promise((resolve) => {
      this.#waiting.set(job, resolve);
    });
  }

  async isJobPending(job: string): Promise<boolean> {
    return this.#property(job, `${NAME}.Job`, "State").then(
      () => true,
      () => false,
    );
  }

  async stopUnit(unit: string): Promise<string | null> {
    try {
      const [job] = await this.#call("StopUnit", "ss", [unit, "fail"]);
      return job as string;
    } catch (error) {
      if (error instanceof BusError && GONE.test(error.errorName)) return null;
      throw error;
    }
  }

  async killUnit(place: UnitPlace, _leader: PidRef, signal: number): Promise<void> {
    if (place.subgroup === "") {
      await this.#call("KillUnit", "ssi", [place.unit, "all", signal]);
      return;
    }
    try {
      await this.#call("KillUnitSubgroup", "sssi", [place.unit, "cgroup", place.subgroup, signal]);
    } catch (error) {
      // Before 258 the manager cannot: the processes are found by their cgroup.
      if (!(error instanceof BusError) || !error.isMissing) throw error;
      killCgroup(place.cgroup, signal);
    }
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

  /** The manager's version as a number ("252.39-1" → 252), or null where it does not say. */
  async version(): Promise<number | null> {
    try {
      const text = await this.#property(MANAGER.path, MANAGER.interface, "Version");
      const digits = /\d+/.exec(String(text));
      return digits === null ? null : Number(digits[0]);
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      return null;
    }
  }

  async #property(path: string, iface: string, name: string): Promise<unknown> {
    if (this.#bus === null) throw notConnected();
    const call = { destination: NAME, path, interface: "org.freedesktop.DBus.Properties", member: "Get" };
    const [value] = await this.#bus.call({ ...call, signature: "ss", body: [iface, name] });
    return (value as Variant).value;
  }
}

/** The part of a path that a user's manager manages; what is outside of it is in no unit of that manager. */
function belowUserManager(cgroup: string): string {
  return /\/user@\d+\.service(\/.*)$/.exec(cgroup)?.[1] ?? "/";
}

function notConnected(): ErrnoError {
  return new ErrnoError("ENOTCONN", "No connection to the service manager");
}
