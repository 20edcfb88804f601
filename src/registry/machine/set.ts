// The set of machines with its indices: by name, unit and leader; and which machine a process belongs to.
import { unlessNoProcess } from "../../base/absence.ts";
import { MachinedError } from "../../base/error.ts";
import { cgroupOfProcess, groupInUserManager, isUserManager } from "../../kernel/cgroup/cgroup.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import type { ServiceManager, UnitPlace } from "../ports.ts";
import type { Machine } from "./machine.ts";

/** How many generations of a process's parents are searched for a machine. */
const PARENT_LIMIT = 64;

export class MachineSet {
  readonly #manager: ServiceManager;
  readonly #byName = new Map<string, Machine>();
  /** Arrays, because nearly all units have one machine, and a set of one takes several times as much memory. */
  readonly #byUnit = new Map<string, Machine[]>();
  readonly #byLeader = new Map<number, Machine>();

  constructor(manager: ServiceManager) {
    this.#manager = manager;
  }

  /** The started machines, `.host` among them, in the order of their registration. */
  *list(): Generator<Machine> {
    for (const machine of this.#byName.values()) if (machine.started) yield machine;
  }

  /** Returns all machines, including those that are still being started. */
  all(): Iterable<Machine> {
    return this.#byName.values();
  }

  /** The number of machines, including those that are still being started. */
  get size(): number {
    return this.#byName.size;
  }

  inUnit(unit: string): Iterable<Machine> {
    return this.#byUnit.get(unit) ?? [];
  }

  find(name: string): Machine | null {
    const machine = this.#byName.get(name);
    return machine?.started === true ? machine : null;
  }

  /** Returns the machine of that name; throws NoSuchMachine. */
  get(name: string): Machine {
    const machine = this.find(name);
    if (machine === null) throw new MachinedError("NoSuchMachine", `No machine '${name}' known`);
    return machine;
  }

  /** Returns the machine that has the name, started or not. */
  holderOf(name: string): Machine | null {
    return this.#byName.get(name) ?? null;
  }

  /**
   * Returns the machine whose leader the process is. The number of a leader that has ended may be another process's by
   * now.
   */
  withLeader(pid: number): Machine | null {
    const machine = this.#byLeader.get(pid);
    return machine?.leader.isAlive() === true ? machine : null;
  }

  has(machine: Machine): boolean {
    return this.#byName.get(machine.name) === machine;
  }

  add(machine: Machine): void {
    this.#byName.set(machine.name, machine);
    if (!machine.isHost) this.#byLeader.set(machine.leader.pid, machine);
  }

  /** Indexes the machine by its unit. */
  addUnit(machine: Machine, unit: string): void {
    const machines = this.#byUnit.get(unit);
    if (machines === undefined) this.#byUnit.set(unit, [machine]);
    else if (!machines.includes(machine)) machines.push(machine);
  }

  delete(machine: Machine): void {
    if (this.#byName.get(machine.name) === machine) this.#byName.delete(machine.name);
    if (this.#byLeader.get(machine.leader.pid) === machine) this.#byLeader.delete(machine.leader.pid);
    const unit = machine.place?.unit;
    if (unit === undefined) return;
    const others = this.#byUnit.get(unit)?.filter((other) => other !== machine);
    if (others === undefined || others.length === 0) this.#byUnit.delete(unit);
    else this.#byUnit.set(unit, others);
  }

  /**
   * Returns the machine of a process: by leader, by cgroup, by unit, then by the same of its parents; else null. Throws
   * where that cannot be read for another reason than the end of a process.
   */
  findByProcess(pid: number): Machine | null {
    let current = pid;
    for (let depth = 0; current > 1 && depth < PARENT_LIMIT; depth++) {
      const machine = this.withLeader(current) ?? this.#findByCgroup(current);
      if (machine?.started === true) return machine;
      const parent = parentOf(current);
      if (parent === null) return null;
      current = parent;
    }
    return null;
  }

  #findByCgroup(pid: number): Machine | null {
    const cgroup = cgroupOf(pid);
    if (cgroup === null) return null;
    let best: Machine | null = null;
    for (const machine of this.#candidates(pid)) {
      const own = machine.place?.cgroup ?? "";
      const inside = own !== "" && `${cgroup}/`.startsWith(`${own}/`);
      if (inside && own.length > (best?.place?.cgroup.length ?? 0)) best = machine;
    }
    return best ?? this.#onlyOne(pid, cgroup);
  }

  #candidates(pid: number): Iterable<Machine> {
    const unit = this.placeOf(pid)?.unit;
    return (unit !== undefined && this.#byUnit.get(unit)) || [];
  }

  /**
   * A process outside the payload (the supervisor, say) belongs to the only machine of its unit; below a user's
   * manager, of its unit there: other processes of the user are in no machine.
   */
  #onlyOne(pid: number, cgroup: string): Machine | null {
    const unit = this.placeOf(pid)?.unit ?? "";
    const group = isUserManager(unit) ? groupInUserManager(cgroup) : "";
    const isInside = ({ place }: Machine) => group === "" || `${place?.cgroup}/`.startsWith(`${group}/`);
    const machines = Array.from(this.#byUnit.get(unit) ?? []).filter(isInside);
    return machines.length === 1 ? (machines[0] ?? null) : null;
  }

  /** Returns the place of a process, or null when it is in no unit or has ended. Throws as findByProcess(). */
  placeOf(pid: number): UnitPlace | null {
    return unlessNoProcess(() => this.#manager.placeOf(pid), null);
  }
}

function cgroupOf(pid: number): string | null {
  return unlessNoProcess(() => cgroupOfProcess(pid), null);
}

function parentOf(pid: number): number | null {
  return unlessNoProcess(() => {
    using process = PidRef.of(pid);
    return process.parentPid();
  }, null);
}
