// The registry: the set of machines, found by name, unit, leader or process; started, saved, collected.
//
// Invariants. A name stands once. A machine in the set is either being started (invisible: no list shows it) or started
// (saved on disk and announced). Forgetting one removes its file first and announces it then, once. Between a check and
// the change that follows from it nothing waits.
import { ErrnoError, errnoNameOf, MachinedError } from "../base/error.ts";
import { unitNameEscape } from "../base/names.ts";
import { watchCgroupEvents } from "../kernel/cgroup.ts";
import { PidRef } from "../kernel/pidref.ts";
import { monotonicUsec, realtimeUsec } from "../kernel/time.ts";
import { Machine, type MachineFacts } from "./machine.ts";
import type { MachineFiles, SavedMachine } from "./machine-file.ts";
import { MachineSet } from "./machine-set.ts";
import type { Log, ServiceManager, UnitPlace, UnitProperty } from "./ports.ts";

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
  readonly #manager: ServiceManager;
  readonly #log: Log;
  readonly #events: RegistryEvents;
  readonly #set: MachineSet;
  readonly #queue = new Set<Machine>();
  readonly #awaitingEmpty = new WeakSet<Machine>();
  #collecting = false;

  constructor(files: MachineFiles, manager: ServiceManager, log: Log, events: RegistryEvents) {
    this.#files = files;
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

  /** Whether there is nothing to look after, not even a machine that is being started. */
  get isEmpty(): boolean {
    for (const _machine of this.#set.all()) return false;
    return true;
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
   * Reserves the name for a machine that is about to be started. Throws MachineExists, or FileExists where the leader
   * is the leader of another machine. To be called when the caller is permitted to register. On every failure from here on the caller calls `drop()`.
   */
  add(facts: MachineFacts): Machine {
    if (this.isTaken(facts.name, facts.uid)) throw machineExists(facts.name);
    if (this.#set.withLeader(facts.leader.pid) !== null) throw new ErrnoError("EEXIST", "File exists");
    const dead = this.#set.holderOf(facts.name);
    if (dead !== null) this.forget(dead);
    const machine = new Machine(facts);
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
    const unit = `machine-${unitNameEscape(facts.name)}.scope`;
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
    if (job === null) this.#locate(machine);
  }

  /** Makes the machine known: indexed, watched, saved, announced. Throws when its file cannot be written. */
  start(machine: Machine): void {
    const { place } = machine;
    if (place !== null) this.#set.addUnit(machine, place.unit);
    machine.startedAt ??= { realtimeUsec: realtimeUsec(), monotonicUsec: monotonicUsec() };
    machine.watches.push(machine.leader.onExit(() => this.enqueue(machine)));
    this.#files.save(machine);
    machine.started = true;
    this.#log.info(`New machine ${machine.name}.`, {
      MESSAGE_ID: MESSAGE_NEW,
      NAME: machine.name,
      LEADER: String(machine.leader.pid),
    });
    this.#events.machineNew(machine);
  }

  /** Saves a change of a started machine. A full disk is the admin's to know, not the caller's to fail on. */
  save(machine: Machine): void {
    if (!machine.started || machine.isHost) return;
    try {
      this.#files.save(machine);
    } catch (error) {
      this.#log.warning(`Failed to save the state of machine ${machine.name}: ${(error as Error).message}`);
    }
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
      if (machine.place?.cgroup === "") this.#locate(machine);
    }
    this.enqueue(machine);
    return result;
  }

  /**
   * Finds the machine's cgroup from where its leader is now. The subgroup is what it was at registration: an init system
   * moves on into groups of its own.
   */
  #locate(machine: Machine): void {
    const { place } = machine;
    const now = this.#placeOf(machine.leader);
    if (place === null || now === null || now.unit !== place.unit) return;
    const ofUnit = now.subgroup === "" ? now.cgroup : now.cgroup.slice(0, -now.subgroup.length - 1);
    machine.place = { ...place, cgroup: place.subgroup === "" ? ofUnit : `${ofUnit}/${place.subgroup}` };
  }

  #placeOf(leader: PidRef): UnitPlace | null {
    const place = this.#set.placeOf(leader.pid);
    return leader.isAlive() ? place : null;
  }

  /** Stops the unit or the supervisor. Throws NotSupported for a machine that has neither, and for the host. */
  async terminate(machine: Machine): Promise<void> {
    if (machine.isHost) throw unsupported();
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
    this.#removeFiles(machine);
    machine.started = false;
    this.#events.machineRemoved(machine);
    if (options.stopUnit) this.#stopOwnUnit(machine);
    machine.release();
  }

  #removeFiles(machine: Machine): void {
    const unit = machine.place?.unit ?? null;
    const [heir] = unit === null ? [] : this.#set.inUnit(unit);
    try {
      this.#files.remove(machine.name, unit, heir?.name ?? null);
    } catch (error) {
      this.#log.warning(`Failed to remove the state of machine ${machine.name}: ${(error as Error).message}`);
    }
  }

  /**
   * Takes up what an earlier process left on disk. Machines whose leader is gone are removed without a word; the others
   * are announced again, because whoever listens now may not have heard of them.
   */
  restore(): void {
    const { machines, broken } = this.#files.load();
    for (const name of broken) {
      this.#log.warning(`The state file of machine ${name} makes no sense, removing it.`);
      this.#discard(name, null);
    }
    for (const saved of machines) this.#restoreOne(saved);
  }

  #restoreOne(saved: SavedMachine): void {
    const leader = revive(saved.leader, saved.leaderPidfdId);
    if (leader === null || saved.class === null || saved.class === "host" || !this.#isSame(saved, leader)) {
      leader?.[Symbol.dispose]();
      this.#discard(saved.name, saved.unit);
      return;
    }
    const { unit, subgroup, supervisor } = saved;
    if (this.#set.withLeader(leader.pid) !== null) {
      leader[Symbol.dispose]();
      this.#discard(saved.name, saved.unit);
      return;
    }
    const machine = this.add({
      ...saved,
      class: saved.class,
      leader,
      supervisor: revive(supervisor, saved.supervisorPidfdId),
    });
    if (unit !== null) machine.place = { unit, subgroup, cgroup: "" };
    machine.ownsUnit = unit === `machine-${unitNameEscape(saved.name)}.scope`;
    machine.job = saved.job;
    if (saved.realtimeUsec !== null && saved.monotonicUsec !== null) {
      machine.startedAt = { realtimeUsec: saved.realtimeUsec, monotonicUsec: saved.monotonicUsec };
    }
    this.#locate(machine);
    this.#startRestored(machine);
  }

  #startRestored(machine: Machine): void {
    try {
      this.start(machine);
    } catch (error) {
      this.#log.warning(`Failed to restore machine ${machine.name}: ${(error as Error).message}`);
      this.drop(machine);
      return;
    }
    if (machine.job !== null) void this.#resumeJob(machine, machine.job).catch(() => this.enqueue(machine));
  }

  /** The job may have ended while nobody listened. */
  async #resumeJob(machine: Machine, job: string): Promise<void> {
    const pending = await this.#manager.isJobPending(job);
    if (pending) await this.finishJob(machine);
    else if (machine.job === job) {
      machine.job = null;
      this.save(machine);
    }
  }

  /** Files of 252 name the leader by its number alone, which may be another process by now: its unit tells. */
  #isSame(saved: SavedMachine, leader: PidRef): boolean {
    if (saved.leaderPidfdId !== null || saved.unit === null) return true;
    return this.#placeOf(leader)?.unit === saved.unit;
  }

  #discard(name: string, unit: string | null): void {
    try {
      this.#files.remove(name, unit, null);
    } catch (error) {
      this.#log.warning(`Failed to remove the state of machine ${name}: ${(error as Error).message}`);
    }
  }
}

export function machineExists(name: string): MachinedError {
  return new MachinedError("MachineExists", `Machine '${name}' already exists`);
}

export function unsupported(message = "Operation not supported"): MachinedError {
  return new MachinedError("NotSupported", message);
}

/** The process of a saved PID, or null when it is gone or another one has its number now. */
function revive(pid: number, id: bigint | null): PidRef | null {
  if (pid <= 1) return null;
  try {
    const process = PidRef.of(pid);
    if (process.isAlive() && (id === null || process.id === null || process.id === id)) return process;
    process[Symbol.dispose]();
  } catch {
    // gone
  }
  return null;
}
