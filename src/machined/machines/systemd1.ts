// ServiceManager on hosts where systemd is PID 1 (org.freedesktop.systemd1(5)).

import { errnoNameOf } from "../../base/error.ts";
import { unitOfCgroup } from "../../base/names.ts";
import { BROKER, BROKER_PATH, SYSTEMD1_NAME } from "../../base/vocabulary/bus-peers.ts";
import { systemdVersion } from "../../daemon/host.ts";
import type { BusClient } from "../../ipc/bus/client.ts";
import { BusError } from "../../ipc/bus/error.ts";
import { cgroupOfProcess, killCgroupInTurns } from "../../kernel/cgroup/cgroup.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import type {
  ScopeRequest,
  ServiceManager,
  ServiceManagerEvents,
  UnitFiles,
  UnitPlace,
  UnitState,
} from "../../registry/ports.ts";
import { isGone, SYSTEMD_MANAGER, SystemdCalls } from "./systemd-calls.ts";
import { SystemdJobs } from "./systemd-jobs.ts";
import { SystemdScopes } from "./systemd-scopes.ts";

const BROKER_OBJECT = { path: BROKER_PATH, interface: BROKER };

/** Its start job stops all other units (systemd.special(7)). */
const SHUTDOWN = "shutdown.target";

export class Systemd1 implements ServiceManager, UnitFiles {
  readonly #scope: "system" | "user";
  readonly #events: ServiceManagerEvents;
  readonly #calls = new SystemdCalls();
  readonly #jobs = new SystemdJobs(this.#calls);
  readonly #scopes: SystemdScopes;

  constructor(scope: "system" | "user", events: ServiceManagerEvents) {
    this.#scope = scope;
    this.#events = events;
    this.#scopes = new SystemdScopes(this.#calls, this.#jobs, scope === "system");
  }

  /**
   * Subscribes to the manager's signals on this bus; called again after the bus was lost. Returns the manager's
   * version, or null where it reports none.
   */
  async attach(bus: BusClient): Promise<number | null> {
    bus.onClose(() => this.#calls.forget(bus));
    const rule = { sender: SYSTEMD1_NAME, path: SYSTEMD_MANAGER.path, interface: SYSTEMD_MANAGER.interface };
    const owner = {
      ...BROKER_OBJECT,
      sender: BROKER_OBJECT.interface,
      member: "NameOwnerChanged",
      arg0: SYSTEMD1_NAME,
    };
    const subscribed = Promise.all([
      bus.subscribe({ ...rule, member: "JobRemoved" }, ([, job, unit, result]) => {
        this.#jobs.removed(job as string, result as string);
        if (unit === SHUTDOWN && result !== "done") this.#events.stopping(false);
      }),
      bus.subscribe({ ...rule, member: "JobNew", arg2: SHUTDOWN }, () => this.#events.stopping(true)),
      bus.subscribe({ ...rule, member: "UnitRemoved" }, ([unit]) => this.#events.unitChanged(unit as string)),
      bus.subscribe({ ...rule, member: "Reloading" }, ([active]) => {
        if (active === false) this.#lookUpAll();
      }),
      bus.subscribe(owner, ([, , newOwner]) => {
        if (newOwner !== "") void this.#subscribe(bus).then(() => this.#lookUpAll());
      }),
      this.#subscribe(bus),
    ]);
    // Calls from now on follow the subscriptions on the connection, whose order broker and manager keep.
    this.#calls.use(bus);
    const [version] = await Promise.all([systemdVersion((call) => this.#calls.ask(call)), subscribed]);
    this.#lookUpAll();
    return version;
  }

  async #subscribe(bus: BusClient): Promise<void> {
    await bus.call({ ...SYSTEMD_MANAGER, member: "Subscribe" }).catch((error: unknown) => {
      // This connection has subscribed already.
      if (!(error instanceof BusError)) throw error;
    });
  }

  /** Queries everything that missed signals would have reported. */
  #lookUpAll(): void {
    this.#events.reloaded();
    this.#jobs.lookUpAll();
  }

  async createScope(request: ScopeRequest): Promise<{ job: string | null }> {
    return { job: await this.#scopes.create(request) };
  }

  jobResult(job: string): Promise<string> {
    return this.#jobs.result(job);
  }

  isJobPending(job: string): Promise<boolean> {
    return this.#jobs.isPending(job);
  }

  unitState(unit: string): Promise<UnitState> {
    return this.#jobs.unitState(unit);
  }

  machineScopes(): Promise<readonly string[]> {
    return this.#jobs.activeUnits("machine-*.scope");
  }

  /** "replace": a queued start job must not prevent the stop of a machine. */
  async stopUnit(unit: string, _leader: PidRef, isStillMeant: () => boolean): Promise<string | null> {
    try {
      const [job] = await this.#calls.manager("StopUnit", "ss", [unit, "replace"], isStillMeant);
      return this.#jobs.queued(job as string, { unit, makesActive: false });
    } catch (error) {
      if (isGone(error) || !isStillMeant()) return null;
      throw error;
    }
  }

  async killUnit(place: UnitPlace, _leader: PidRef, signal: number, isStillThere: () => boolean): Promise<void> {
    if (place.subgroup === "") {
      await this.#calls.manager("KillUnit", "ssi", [place.unit, "all", signal], isStillThere);
      return;
    }
    try {
      const body = [place.unit, "cgroup", place.subgroup, signal];
      await this.#calls.manager("KillUnitSubgroup", "sssi", body, isStillThere);
    } catch (error) {
      // Managers before 258 have no KillUnitSubgroup: the processes are found by their cgroup.
      if (!(error instanceof BusError) || !error.isMissing) throw error;
      if (isStillThere()) await killCgroupInTurns(place.cgroup, signal, isStillThere);
    }
  }

  async isEnabled(unit: string): Promise<boolean> {
    if (!this.#calls.isConnected) return false;
    try {
      const [state] = await this.#calls.manager("GetUnitFileState", "s", [unit]);
      return state === "enabled";
    } catch (error) {
      // There is no such template: none of its units can be enabled.
      if (errnoNameOf(error) === "ENOENT") return false;
      throw error;
    }
  }

  async enable(units: readonly string[]): Promise<void> {
    await this.#calls.manager("EnableUnitFiles", "asbb", [units, false, false]);
  }

  async disable(units: readonly string[]): Promise<void> {
    await this.#calls.manager("DisableUnitFiles", "asb", [units, false]);
  }

  async reload(): Promise<void> {
    await this.#calls.manager("Reload", "", []);
  }

  placeOf(pid: number): UnitPlace | null {
    const cgroup = cgroupOfProcess(pid);
    const found = unitOfCgroup(this.#scope === "user" ? belowUserManager(cgroup) : cgroup);
    return found === null ? null : { unit: found.unit, subgroup: found.subgroup, cgroup };
  }
}

/** Returns the part of a path below a user's manager; a path outside is in no unit of that manager. */
function belowUserManager(cgroup: string): string {
  return /\/user@\d+\.service(\/.*)$/s.exec(cgroup)?.[1] ?? "/";
}
