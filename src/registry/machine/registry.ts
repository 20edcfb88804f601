// The registry: the set of machines, found by name, unit, leader or process; started, saved, collected.
//
// Invariants. A name is registered once. A machine in the set is either being started (no list shows it) or started
// (announced, and saved on disk as soon as the file can be written). Everything that may fail for lack of the host's
// resources is done before the scope is made: a scope that exists is kept. Forgetting a machine removes its file first,
// then announces the removal, once. There is no await between a check and the change that follows from it.
import { ErrnoError } from "../../base/error.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";
import { monotonicUsec, realtimeUsec } from "../../kernel/syscall/time.ts";
import type { Log, ServiceManager, UnitPlace, UnitProperty } from "../ports.ts";
import { Collector } from "./collector.ts";
import { machineExists } from "./errors.ts";
import type { MachineFiles } from "./file.ts";
import { Machine, type MachineFacts } from "./machine.ts";
import { Restoration } from "./restore.ts";
import { MachineSaver } from "./saver.ts";
import { MachineSet } from "./set.ts";
import { MachineUnits } from "./units.ts";

/** What the registry reports to the rest of the daemon. */
interface RegistryEvents {
  machineNew(machine: Machine): void;
  machineRemoved(machine: Machine, removal: Removal): void;
  /** A machine of an earlier daemon has ended before this daemon restored its machines. */
  machineVanished(name: string, leader: number): void;
  /** The leader of a machine has ended and processes are left in its unit: the machine stays registered. */
  leaderExited(machine: Machine): void;
}

/** Why a machine is removed from the registry: it has ended, or a caller unregistered it and its processes continue. */
export type Removal = "ended" | "unregistered";

const MESSAGE_NEW = "24d8d4452573402496068381a6312df2";
const MESSAGE_TERMINATED = "58432bd3bace477cb514b56381b8a758";

export class Registry {
  readonly #files: MachineFiles;
  readonly #saver: MachineSaver;
  readonly #manager: ServiceManager;
  readonly #log: Log;
  readonly #events: RegistryEvents;
  readonly #set: MachineSet;
  readonly #collector: Collector;
  readonly #units: MachineUnits;

  constructor(files: MachineFiles, manager: ServiceManager, log: Log, events: RegistryEvents) {
    this.#files = files;
    this.#saver = new MachineSaver(files, log);
    this.#manager = manager;
    this.#set = new MachineSet(manager);
    this.#log = log;
    this.#events = events;
    this.#collector = new Collector(this.#set, {
      gone: (machine) => this.forget(machine),
      stays: (machine) => events.leaderExited(machine),
    });
    this.#units = new MachineUnits(this.#set, manager, log, {
      changed: (machine) => this.save(machine),
      ended: (machine) => this.enqueue(machine),
    });
  }

  get serviceManager(): ServiceManager {
    return this.#manager;
  }

  /** The started machines, `.host` among them, in the order of their registration. */
  list(): Iterable<Machine> {
    return this.#set.list();
  }

  /** All machines, including those that are still being started. */
  all(): Iterable<Machine> {
    return this.#set.all();
  }

  /** The number of machines, including `.host` and those that are still being started. */
  get size(): number {
    return this.#set.size;
  }

  find(name: string): Machine | null {
    return this.#set.find(name);
  }

  /** Returns the machine of that name; throws NoSuchMachine. */
  get(name: string): Machine {
    return this.#set.get(name);
  }

  /** Returns the machine that a process belongs to, or null. */
  findByProcess(pid: number): Machine | null {
    return this.#set.findByProcess(pid);
  }

  /** Adds the built-in machine of the host. */
  addHost(host: Machine): void {
    host.started = true;
    this.#set.add(host);
  }

  /**
   * Reserves the name for a machine that is about to be started, and watches its leader. The permission to register has
   * been checked. Throws MachineExists; FileExists where the leader is the leader of another machine; or an error with
   * errno; what it throws leaves the processes of `facts` with the caller. On every later failure the caller calls
   * `drop()`.
   */
  add(facts: MachineFacts): Machine {
    if (this.isTaken(facts.name, facts.uid)) throw machineExists(facts.name);
    if (this.#set.withLeader(facts.leader.pid) !== null) throw new ErrnoError("EEXIST", "File exists");
    const watch = facts.leader.onExit(() => this.enqueue(machine));
    const dead = this.#set.holderOf(facts.name);
    if (dead !== null) this.forget(dead);
    // One process often manages many machines, and needs only one descriptor for them.
    const machine = new Machine({ ...facts, supervisor: facts.supervisor?.common() ?? null });
    machine.watches.push(watch);
    this.#set.add(machine);
    return machine;
  }

  /**
   * Whether the name is not available to the user; machines that are still being started count. The name of a machine
   * whose leader is gone is available: `add()` forgets that machine. While processes are left in its unit, the name is
   * available to root and its owner only. Changes nothing.
   */
  isTaken(name: string, uid: number): boolean {
    const holder = this.#set.holderOf(name);
    if (holder === null) return false;
    if (!holder.started || !holder.isLeaderless) return true;
    if (!holder.isOccupied) return false;
    // Processes left in a unit of their own stay there, unregistered; a scope that the registry made cannot be made
    // twice.
    return holder.ownsUnit || (uid !== 0 && uid !== holder.facts.uid);
  }

  /** Forgets a machine that never started. */
  drop(machine: Machine): void {
    this.#set.delete(machine);
    this.#unsave(machine);
    machine.release();
  }

  /** Forgets a machine that never started, and stops the scope that was made for it. */
  abandon(machine: Machine): void {
    this.#set.delete(machine);
    this.#unsave(machine);
    this.#saver.release(machine.name);
    this.#units.stopOwn(machine);
    machine.release();
  }

  /** Its start may have failed after its file was written, or while that is to be retried. */
  #unsave(machine: Machine): void {
    if (!machine.started) return;
    this.#saver.forget(machine);
    this.#removeFiles(machine);
    machine.started = false;
  }

  /** Publishes the machine: indexes, saves and announces it. `present`: the text of its state file, if it has one. */
  start(machine: Machine, present?: string): void {
    const { place } = machine;
    if (place !== null) this.#set.addUnit(machine, place.unit);
    machine.startedAt ??= { realtimeUsec: realtimeUsec(), monotonicUsec: monotonicUsec() };
    machine.started = true;
    this.#saver.save(machine, present);
    this.#log.info(`New machine ${machine.name}.`, {
      MESSAGE_ID: MESSAGE_NEW,
      NAME: machine.name,
      LEADER: String(machine.leader.pid),
      // A field that the original does not have: `machinectl logs` finds the console of an ended machine by it.
      ...(machine.place === null ? {} : { MACHINE_UNIT: machine.place.unit }),
    });
    this.#events.machineNew(machine);
    // Its leader may have ended while it was being started.
    if (machine.isLeaderless) this.enqueue(machine);
  }

  /** Saves a change of a started machine. */
  save(machine: Machine): void {
    if (machine.started && !machine.isHost) this.#saver.save(machine);
  }

  /** Retries writing the state files that could not be written yet. */
  saveUnsaved(): void {
    this.#saver.retry();
  }

  /** Makes a scope for the machine and waits until its start is queued. Errors of the service manager pass through. */
  async createScope(machine: Machine, properties: readonly UnitProperty[]): Promise<void> {
    this.#saver.reserve(machine);
    await this.#units.create(machine, properties);
  }

  /** Waits for the machine's start or stop job, saves its end, and returns its result. */
  finishJob(machine: Machine): Promise<string> {
    return this.#units.finishJob(machine);
  }

  /** Stops the unit or the supervisor. Throws NotSupported for a machine that has neither, and for the host. */
  terminate(machine: Machine): Promise<void> {
    return this.#units.terminate(machine);
  }

  locate(machine: Machine): void {
    this.#units.locate(machine);
  }

  placeOf(leader: PidRef): UnitPlace | null {
    return this.#units.placeOf(leader);
  }

  /** A unit changed, or all may have: checks whether machines are gone. */
  unitChanged(unit: string | null): void {
    const machines = unit === null ? this.#set.all() : this.#set.inUnit(unit);
    for (const machine of machines) this.enqueue(machine);
  }

  /** Checks in the next turn of the event loop whether the machine is gone. */
  enqueue(machine: Machine): void {
    this.#collector.enqueue(machine);
  }

  /**
   * Removes a machine: file, indices, announcement. Stops a scope that was made for one that ended; kills nothing else.
   */
  forget(machine: Machine, removal: Removal = "ended"): void {
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
    this.#events.machineRemoved(machine, removal);
    if (removal === "ended") this.#units.stopOwn(machine);
    machine.release();
  }

  #removeFiles(machine: Machine): void {
    const unit = machine.place?.unit ?? null;
    const [heir] = unit === null ? [] : this.#set.inUnit(unit);
    this.#saver.remove(machine.name, unit, heir?.name ?? null);
  }

  /** For the restoration: announces the end of a machine that ended while no daemon ran. */
  vanished(name: string, leader: number): void {
    this.#events.machineVanished(name, leader);
  }

  /** Restores the machines whose state files an earlier daemon left. */
  restore(): void {
    new Restoration({
      ...{ registry: this, set: this.#set, files: this.#files, saver: this.#saver },
      ...{ manager: this.#manager, log: this.#log },
    }).run();
  }
}
