// The registry: the set of machines, found by name, unit, leader or process; started, saved, collected.
//
// Invariants. A name stands once. A machine in the set is either being started (invisible: no list shows it) or started
// (announced, and saved on disk as soon as the host lets it be written). What can fail for want of the host's means is
// done before the scope is made: a scope that stands is kept. Forgetting a machine removes its file first and announces it then, once. Between a check and
// the change that follows from it nothing waits.
import { ErrnoError, errnoNameOf, MachinedError } from "../../base/error.ts";
import { watchCgroupEvents } from "../../kernel/process/cgroup.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import { monotonicUsec, realtimeUsec } from "../../kernel/syscall/time.ts";
import type { Log, ServiceManager, UnitPlace, UnitProperty } from "../ports.ts";
import type { MachineFiles } from "./file.ts";
import { Machine, type MachineFacts, scopeOf } from "./machine.ts";
import { Restoration } from "./restore.ts";
import { MachineSaver } from "./saver.ts";
import { MachineSet } from "./set.ts";

/** What the registry tells the rest of the daemon. */
export interface RegistryEvents {
  machineNew(machine: Machine): void;
  machineRemoved(machine: Machine): void;
}

const MESSAGE_NEW = "24d8d4452573402496068381a6312df2";
const MESSAGE_TERMINATED = "58432bd3bace477cb514b56381b8a758";
const SIGTERM = 15;

export class Registry {
  readonly #files: MachineFiles;
  readonly #saver: MachineSaver;
  readonly #manager: ServiceManager;
  readonly #log: Log;
  readonly #events: RegistryEvents;
  readonly #set: MachineSet;
  readonly #queue = new Set<Machine>();
  readonly #awaitingEmpty = new WeakSet<Machine>();
  #collecting = false;

  constructor(files: MachineFiles, manager: ServiceManager, log: Log, events: RegistryEvents) {
    this.#files = files;
    this.#saver = new MachineSaver(files, log);
    this.#manager = manager;
    this.#set = new MachineSet(manager);
    this.#log = log;
    this.#events = events;
  }

  get serviceManager(): ServiceManager {
    return this.#manager;
  }

  /** The started machines, `.host` among them, in the order of their registration. */
  list(): Iterable<Machine> {
    return this.#set.list();
  }

  /** How many machines there are, `.host` and those included that are still being started. */
  get size(): number {
    return this.#set.size;
  }

  find(name: string): Machine | null {
    return this.#set.find(name);
  }

  /** The machine of that name; throws NoSuchMachine. */
  get(name: string): Machine {
    return this.#set.get(name);
  }

  /** The machine a process belongs to, or null. */
  findByProcess(pid: number): Machine | null {
    return this.#set.findByProcess(pid);
  }

  /** Takes the built-in machine of the host into the set. */
  addHost(host: Machine): void {
    host.started = true;
    this.#set.add(host);
  }

  /**
   * Reserves the name for a machine that is about to be started, and watches its leader; to be called when the caller is
   * permitted to register. Throws MachineExists, FileExists where the leader is the leader of another machine, or an error
   * with errno. On every failure from here on the caller calls `drop()`.
   */
  add(facts: MachineFacts): Machine {
    if (this.isTaken(facts.name, facts.uid)) throw machineExists(facts.name);
    if (this.#set.withLeader(facts.leader.pid) !== null) throw new ErrnoError("EEXIST", "File exists");
    const machine = new Machine(facts);
    machine.watches.push(machine.leader.onExit(() => this.enqueue(machine)));
    const dead = this.#set.holderOf(facts.name);
    if (dead !== null) this.forget(dead);
    this.#set.add(machine);
    return machine;
  }

  /**
   * Whether the user cannot have the name, be it because of a machine that is still being started. A machine whose leader
   * is gone makes room, in `add()`; while anybody is left in its unit, only for root and its owner. Changes nothing.
   */
  isTaken(name: string, uid: number): boolean {
    const holder = this.#set.holderOf(name);
    if (holder === null) return false;
    if (!holder.started || !holder.isLeaderless) return true;
    if (!holder.isOccupied) return false;
    // What is left in a unit of its own stays there, unnamed; a scope of ours cannot be made twice.
    return holder.ownsUnit || (uid !== 0 && uid !== holder.facts.uid);
  }

  /** Forgets a machine that never started. */
  drop(machine: Machine): void {
    this.#set.delete(machine);
    machine.release();
  }

  /** The same, and stops the scope that was made for it. */
  abandon(machine: Machine): void {
    this.#set.delete(machine);
    this.#saver.release(machine.name);
    this.#stopOwnUnit(machine);
    machine.release();
  }

  #stopOwnUnit(machine: Machine): void {
    const unit = machine.place?.unit;
    if (!machine.ownsUnit || unit === undefined) return;
    this.#manager.stopUnit(unit, machine.leader).catch((error) => this.#log.debug(`Cannot stop ${unit}: ${error}`));
  }

  /** Makes a scope for the machine and waits until its start is queued. Errors of the service manager pass through. */
  async createScope(machine: Machine, properties: readonly UnitProperty[]): Promise<void> {
    const { facts } = machine;
    const unit = scopeOf(facts.name);
    const kind = facts.class === "vm" ? "Virtual Machine" : "Container";
    this.#saver.reserve(machine);
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

  /** Makes the machine known: indexed, saved, announced. */
  start(machine: Machine): void {
    const { place } = machine;
    if (place !== null) this.#set.addUnit(machine, place.unit);
    machine.startedAt ??= { realtimeUsec: realtimeUsec(), monotonicUsec: monotonicUsec() };
    machine.started = true;
    this.#saver.save(machine);
    this.#log.info(`New machine ${machine.name}.`, {
      MESSAGE_ID: MESSAGE_NEW,
      NAME: machine.name,
      LEADER: String(machine.leader.pid),
    });
    this.#events.machineNew(machine);
    // Its leader may have ended while it was being started.
    if (machine.isLeaderless) this.enqueue(machine);
  }

  /** Saves a change of a started machine. */
  save(machine: Machine): void {
    if (machine.started && !machine.isHost) this.#saver.save(machine);
  }

  /** Tries once more to write what could not be written yet. */
  saveUnsaved(): void {
    this.#saver.retry();
  }

  /** A start or stop job has ended: saves, and gives whether it was done. */
  async finishJob(machine: Machine): Promise<string> {
    const { job } = machine;
    if (job === null) return "done";
    const result = await this.#manager.jobResult(job);
    if (machine.job === job) {
      machine.job = null;
      this.save(machine);
      // A scope's cgroup is only known once it has been started.
      if (machine.place?.cgroup === "") this.locate(machine);
    }
    this.enqueue(machine);
    return result;
  }

  /**
   * Finds the machine's cgroup from where its leader is now. The subgroup is what it was at registration: an init system
   * moves on into groups of its own.
   */
  locate(machine: Machine): void {
    const { place } = machine;
    const now = this.placeOf(machine.leader);
    if (place === null || now === null || now.unit !== place.unit) return;
    const ofUnit = now.subgroup === "" ? now.cgroup : now.cgroup.slice(0, -now.subgroup.length - 1);
    machine.place = { ...place, cgroup: place.subgroup === "" ? ofUnit : `${ofUnit}/${place.subgroup}` };
  }

  placeOf(leader: PidRef): UnitPlace | null {
    const place = this.#set.placeOf(leader.pid);
    return leader.isAlive() ? place : null;
  }

  /** Stops the unit or the supervisor. Throws NotSupported for a machine that has neither, and for the host. */
  async terminate(machine: Machine): Promise<void> {
    if (machine.isHost) throw unsupported();
    await this.#untilStarted(machine);
    // It may have ended meanwhile: that is what was wanted.
    if (!this.#set.has(machine)) return;
    const { place } = machine;
    const { supervisor } = machine.facts;
    if (place !== null && place.subgroup === "") {
      const job = await this.#manager.stopUnit(place.unit, machine.leader);
      machine.stopping = true;
      machine.job = job;
      if (machine.job !== null) void this.finishJob(machine).catch(() => this.enqueue(machine));
    } else if (supervisor !== null) {
      supervisor.kill(SIGTERM);
      machine.stopping = true;
    } else throw unsupported();
    this.save(machine);
    this.enqueue(machine);
  }

  /** A scope that is stopped before its start job has run is gone, but its leader was never in it and lives on. */
  async #untilStarted(machine: Machine): Promise<void> {
    const { job, stopping } = machine;
    if (job !== null && !stopping && (await this.#manager.isJobPending(job))) await this.finishJob(machine);
  }

  /** A unit changed, or all may have: looks whether machines are gone. */
  unitChanged(unit: string | null): void {
    const machines = unit === null ? this.#set.all() : this.#set.inUnit(unit);
    for (const machine of machines) this.enqueue(machine);
  }

  /** Looks at the machine once what is going on now is over. */
  enqueue(machine: Machine): void {
    if (machine.isHost) return;
    this.#queue.add(machine);
    if (this.#collecting) return;
    this.#collecting = true;
    setImmediate(() => {
      this.#collecting = false;
      for (const queued of this.#queue) {
        this.#queue.delete(queued);
        this.#collect(queued);
      }
    });
  }

  /** Forgets a machine whose leader is gone, once nobody is left in its unit (or in its cgroup below that). */
  #collect(machine: Machine): void {
    if (!this.#set.has(machine) || !machine.started || !machine.isLeaderless) return;
    if (machine.isOccupied) this.#awaitEmpty(machine);
    // Whoever was the last may have left before anybody watched.
    if (!machine.isOccupied) this.forget(machine);
  }

  #awaitEmpty(machine: Machine): void {
    if (machine.place === null || this.#awaitingEmpty.has(machine)) return;
    this.#awaitingEmpty.add(machine);
    try {
      machine.watches.push(watchCgroupEvents(machine.place.cgroup, () => this.enqueue(machine)));
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
    }
  }

  /** Removes a machine: file, indices, announcement. A scope made for it is stopped; nothing is killed otherwise. */
  forget(machine: Machine, options: { stopUnit: boolean } = { stopUnit: true }): void {
    if (machine.isHost || !this.#set.has(machine)) return;
    this.#log.info(`Machine ${machine.name} terminated.`, {
      MESSAGE_ID: MESSAGE_TERMINATED,
      NAME: machine.name,
      LEADER: String(machine.leader.pid),
    });
    machine.stopping = true;
    this.#set.delete(machine);
    this.#saver.forget(machine);
    this.#removeFiles(machine);
    machine.started = false;
    this.#events.machineRemoved(machine);
    if (options.stopUnit) this.#stopOwnUnit(machine);
    machine.release();
  }

  #removeFiles(machine: Machine): void {
    const unit = machine.place?.unit ?? null;
    const [heir] = unit === null ? [] : this.#set.inUnit(unit);
    this.#saver.remove(machine.name, unit, heir?.name ?? null);
  }

  /** Takes up what an earlier daemon left on disk. */
  restore(): void {
    new Restoration({
      ...{ registry: this, set: this.#set, files: this.#files, saver: this.#saver },
      ...{ manager: this.#manager, log: this.#log },
    }).run();
  }
}

export function machineExists(name: string): MachinedError {
  return new MachinedError("MachineExists", `Machine '${name}' already exists`);
}

export function unsupported(message = "Operation not supported"): MachinedError {
  return new MachinedError("NotSupported", message);
}
