// The units of machines: scopes are made for them, their cgroups are found, and they are stopped.
import { errnoNameOf } from "../../base/error.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import type { Log, ServiceManager, UnitPlace, UnitProperty } from "../ports.ts";
import { unsupported } from "./errors.ts";
import { type Machine, scopeOf } from "./machine.ts";
import type { MachineSet } from "./set.ts";
import { killWithoutUnit } from "./without-unit.ts";

const SIGKILL = 9;
const SIGTERM = 15;

interface UnitEvents {
  /** Called when the machine has changed and must be saved. */
  changed(machine: Machine): void;
  /** Called when a job or the unit of the machine has ended: the machine may have ended. */
  ended(machine: Machine): void;
}

export class MachineUnits {
  readonly #set: MachineSet;
  readonly #manager: ServiceManager;
  readonly #log: Log;
  readonly #events: UnitEvents;

  constructor(set: MachineSet, manager: ServiceManager, log: Log, events: UnitEvents) {
    this.#set = set;
    this.#manager = manager;
    this.#log = log;
    this.#events = events;
  }

  /** Makes a scope for the machine and waits until its start is queued. Errors of the service manager pass through. */
  async create(machine: Machine, properties: readonly UnitProperty[]): Promise<void> {
    const { facts } = machine;
    const unit = scopeOf(facts.name);
    const kind = facts.class === "vm" ? "Virtual Machine" : "Container";
    const { job } = await this.#manager.createScope({
      unit,
      description: `${kind} ${facts.name}`,
      leader: facts.leader,
      uid: facts.uid,
      properties,
    });
    machine.job = job;
    machine.place = { unit, subgroup: "", cgroup: "" };
    machine.ownsUnit = true;
    if (job === null) this.locate(machine);
  }

  /** Waits for the machine's start or stop job, and returns its result. */
  async finishJob(machine: Machine): Promise<string> {
    const { job } = machine;
    if (job === null) return "done";
    const result = await this.#manager.jobResult(job);
    if (machine.job === job) {
      machine.job = null;
      this.#events.changed(machine);
      // The cgroup of a scope is known once the scope has been started.
      if (machine.place?.cgroup === "") this.locate(machine);
    }
    this.#events.ended(machine);
    return result;
  }

  /**
   * Finds the machine's cgroup from the present cgroup of its leader. The subgroup stays that of the registration: an
   * init system moves itself into a cgroup of its own later.
   */
  locate(machine: Machine): void {
    const { place } = machine;
    const now = this.#placeNow(machine);
    if (place === null || now === null || now.unit !== place.unit) return;
    const ofUnit = now.subgroup === "" ? now.cgroup : now.cgroup.slice(0, -now.subgroup.length - 1);
    machine.place = { ...place, cgroup: place.subgroup === "" ? ofUnit : `${ofUnit}/${place.subgroup}` };
  }

  /**
   * Returns null where the machine's group cannot be read now. The machine is kept: its processes are found by its
   * unit, and its usage is not measured.
   */
  #placeNow({ name, leader }: Machine): UnitPlace | null {
    try {
      return this.placeOf(leader);
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      this.#log.warning(`Cannot find the control group of machine ${name}: ${(error as Error).message}`);
      return null;
    }
  }

  /** Returns the place of a process; null where it is in no unit or has ended. Throws where that cannot be read. */
  placeOf(leader: PidRef): UnitPlace | null {
    const place = this.#set.placeOf(leader.pid);
    return leader.isAlive() ? place : null;
  }

  /**
   * Stops the unit, the supervisor, or, where that has ended or there is no unit, all processes. Throws NotSupported
   * for a machine in a control group below its unit that had no supervisor, and for the host.
   */
  async terminate(machine: Machine): Promise<void> {
    if (machine.isHost) throw unsupported();
    await this.#untilStarted(machine);
    // The machine has ended meanwhile: nothing is left to do.
    if (!this.#set.has(machine)) return;
    const { place } = machine;
    const { supervisor } = machine.facts;
    if (place === null) {
      await killWithoutUnit(machine.leader, SIGKILL);
      machine.stopping = true;
    } else if (place.subgroup === "") {
      const job = await this.#manager.stopUnit(place.unit, machine.leader, () => this.#set.has(machine));
      machine.stopping = true;
      machine.job = job;
      if (machine.job !== null) void this.finishJob(machine).catch(() => this.#events.ended(machine));
    } else if (supervisor?.isAlive() === true) {
      supervisor.kill(SIGTERM);
      machine.stopping = true;
    } else if (supervisor !== null || machine.hasLostSupervisor) {
      // The supervisor has ended, as `machinectl register` does after the registration: no process is left that ends
      // the machine.
      await this.#manager.killUnit(place, machine.leader, SIGKILL, () => this.#set.has(machine));
      machine.stopping = true;
    } else throw unsupported();
    this.#events.changed(machine);
    this.#events.ended(machine);
  }

  /** Stopping a scope before its start job has run removes it, but the leader was never in it and continues. */
  async #untilStarted(machine: Machine): Promise<void> {
    const { job, stopping } = machine;
    if (job !== null && !stopping && (await this.#manager.isJobPending(job))) await this.finishJob(machine);
  }

  /** Stops the scope that was made for the machine, if any, without waiting for it. */
  stopOwn(machine: Machine): void {
    const unit = machine.place?.unit;
    if (!machine.ownsUnit || unit === undefined) return;
    // The scope of a later machine of the name has the same name.
    const isUnused = () => this.#set.holderOf(machine.name) === null || this.#set.has(machine);
    this.#manager
      .stopUnit(unit, machine.leader, isUnused)
      .catch((error) => this.#log.debug(`Cannot stop ${unit}: ${error}`));
  }
}
