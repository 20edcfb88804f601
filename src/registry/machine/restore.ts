// Restores the machines of an earlier daemon from its state files, and from its notes about machines that it was
// starting when it ended. Machines whose leader has ended are removed without an announcement; the others are announced
// again, because the present listeners may not know them.

import { compileAsUsual } from "../../base/compiler.ts";
import { errnoNameOf } from "../../base/error.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import { startTicksSoon } from "../../kernel/process/process-link.ts";
import { isErrno, unlessErrno } from "../../kernel/syscall/sys.ts";
import { bootTimeUsec, monotonicUsec } from "../../kernel/syscall/time.ts";
import type { Log, ServiceManager, UnitPlace } from "../ports.ts";
import { descriptionOf } from "./description.ts";
import type { FoundFile, MachineFiles } from "./file.ts";
import { type Machine, type MachineFacts, scopeOf } from "./machine.ts";
import type { MachineSaver } from "./saver.ts";
import type { MachineSet } from "./set.ts";
import type { SavedMachine } from "./state-text.ts";

/** The part of the registry that is used here. */
interface Target {
  add(facts: MachineFacts): Machine;
  locate(machine: Machine): void;
  placeOf(leader: PidRef): UnitPlace | null;
  start(machine: Machine, present?: string): void;
  save(machine: Machine): void;
  drop(machine: Machine): void;
  enqueue(machine: Machine): void;
  finishJob(machine: Machine): Promise<string>;
  /** Called for a machine of the earlier daemon that ended while no daemon ran. */
  vanished(name: string, leader: number): void;
}

export class Restoration {
  readonly #registry: Target;
  readonly #set: MachineSet;
  readonly #files: MachineFiles;
  readonly #saver: MachineSaver;
  readonly #manager: ServiceManager;
  readonly #log: Log;

  constructor(parts: {
    registry: Target;
    set: MachineSet;
    files: MachineFiles;
    saver: MachineSaver;
    manager: ServiceManager;
    log: Log;
  }) {
    this.#registry = parts.registry;
    this.#set = parts.set;
    this.#files = parts.files;
    this.#saver = parts.saver;
    this.#manager = parts.manager;
    this.#log = parts.log;
  }

  run(): void {
    compileAsUsual();
    for (const found of this.#found()) {
      if (found.kind === "machine")
        this.#unlessImpossible(found.saved.name, () => this.#restore(found.saved, found.text));
      else if (found.kind === "reserved") this.#unlessImpossible(found.saved.name, () => this.#reconcile(found.saved));
      else if (found.kind === "broken") {
        this.#log.warning(`The state file of machine ${found.name} is not valid, removing it.`);
        this.#saver.remove(found.name, null, null);
      } else {
        const { name, error } = found;
        this.#log.warning(`Cannot read the state of machine ${name}, leaving it as it is: ${(error as Error).message}`);
      }
    }
    void this.#reportStrays();
  }

  /**
   * Logs the names of scopes that belong to no registered machine. A daemon that was killed before it could note or
   * save a machine (full /run) leaves such a scope, and its leader is not known. systemd-nspawn makes such scopes, too,
   * with --register=no.
   */
  async #reportStrays(): Promise<void> {
    try {
      const scopes = await this.#manager.machineScopes();
      const known = new Set([...this.#set.all()].flatMap(({ name, place }) => [scopeOf(name), place?.unit]));
      for (const unit of scopes) {
        if (known.has(unit)) continue;
        const help = `If no program manages it any more, 'systemctl stop "${unit}"' ends its processes.`;
        this.#log.info(`${unit} has the name of a machine's scope but belongs to no registered machine. ${help}`);
      }
    } catch (error) {
      this.#log.debug(`Cannot list the scopes of machines: ${(error as Error).message}`);
    }
  }

  *#found(): Generator<FoundFile> {
    try {
      yield* this.#files.read();
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      this.#log.warning(`Cannot read the state of machines: ${(error as Error).message}`);
    }
  }

  /**
   * Runs `restore`. A failed system call (for lack of descriptors, say) does not show that a machine has ended: its
   * file is kept.
   */
  #unlessImpossible(name: string, restore: () => void): void {
    try {
      restore();
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      this.#log.warning(`Failed to restore machine ${name}, leaving its state file: ${(error as Error).message}`);
    }
  }

  #restore(saved: SavedMachine, text: string): void {
    const machine = this.#revive(saved);
    if (machine === null) {
      // A machine of its unit that was restored before it gets the link.
      const [heir] = saved.unit === null ? [] : this.#set.inUnit(saved.unit);
      this.#saver.remove(saved.name, saved.unit, heir?.name ?? null);
      this.#registry.vanished(saved.name, saved.leader);
      return;
    }
    const { unit, subgroup, realtimeUsec, monotonicUsec } = saved;
    if (unit !== null) machine.place = { unit, subgroup, cgroup: "" };
    // A machine in a group below a scope of this name was registered there: systemd-nspawn makes such scopes itself.
    machine.ownsUnit = unit === scopeOf(saved.name) && subgroup === "";
    machine.job = saved.job;
    if (realtimeUsec !== null && monotonicUsec !== null) machine.startedAt = { realtimeUsec, monotonicUsec };
    this.#start(machine, text);
  }

  /**
   * Adds the machine of a file to the registry; returns null where it has ended, or another process has its leader's
   * number.
   */
  #revive(saved: SavedMachine): Machine | null {
    const { name, class: machineClass, monotonicUsec: registeredUsec } = saved;
    const leader = revive(saved.leader, saved.leaderPidfdId, registeredUsec);
    const isUsable = machineClass !== null && machineClass !== "host" && this.#set.holderOf(name) === null;
    if (leader === null) return null;
    using owned = new DisposableStack();
    owned.use(leader);
    if (isUsable && this.#isSame(saved, leader) && this.#set.withLeader(leader.pid) === null) {
      const supervisor = revive(saved.supervisor, saved.supervisorPidfdId, registeredUsec);
      if (supervisor !== null) owned.use(supervisor);
      const machine = this.#registry.add({
        ...{ name, id: saved.id, class: machineClass, uid: saved.uid, leader, supervisor },
        ...descriptionOf(saved),
      });
      machine.hasLostSupervisor = saved.supervisor !== 0 && supervisor === null;
      owned.move();
      return machine;
    }
    return null;
  }

  #start(machine: Machine, present?: string): void {
    this.#registry.locate(machine);
    this.#registry.start(machine, present);
    if (machine.job !== null) {
      void this.#resumeJob(machine, machine.job).catch(() => this.#registry.enqueue(machine));
    }
  }

  /**
   * Waits for a job of the earlier daemon, which may have ended while no daemon ran. Where the service manager does not
   * answer, the job's end is waited for: it is looked up when the manager answers again.
   */
  async #resumeJob(machine: Machine, job: string): Promise<void> {
    const pending = await this.#manager.isJobPending(job).catch((error) => {
      this.#log.debug(`Cannot look up job ${job} of machine ${machine.name}: ${(error as Error).message}`);
      return true;
    });
    if (pending) await this.#registry.finishJob(machine);
    else if (machine.job === job) {
      machine.job = null;
      this.#registry.save(machine);
    }
  }

  /**
   * Files of 252, and of kernels before 6.9, name the leader by its number alone, which may be another process's by
   * now: then its unit is compared, too. A process in no control group, on a host without any, is in no unit that is
   * known.
   */
  #isSame(saved: SavedMachine, leader: PidRef): boolean {
    if (saved.leaderPidfdId !== null || saved.unit === null) return true;
    const place = this.#registry.placeOf(leader);
    const isInNone = place?.cgroup === "" && saved.monotonicUsec !== null;
    return isInNone || place?.unit === saved.unit;
  }

  /**
   * Completes a registration when a daemon ended between requesting a machine's scope and saving the machine. The
   * machine is started where its scope exists; its name is reserved until that is known.
   */
  #reconcile(saved: SavedMachine): void {
    const unit = scopeOf(saved.name);
    const machine = this.#revive({ ...saved, unit });
    if (machine === null) {
      this.#saver.release(saved.name);
      return;
    }
    machine.place = { unit, subgroup: "", cgroup: "" };
    machine.ownsUnit = true;
    if (this.#isIn(machine.leader, unit)) this.#start(machine);
    else void this.#ask(machine, unit);
  }

  /**
   * Whether a leader is known to be in the unit; the service manager is asked where its group cannot be read either.
   */
  #isIn(leader: PidRef, unit: string): boolean {
    try {
      return this.#registry.placeOf(leader)?.unit === unit;
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      return false;
    }
  }

  /**
   * Queries the service manager: the scope may not have been started yet, and its start job moves the leader into it.
   */
  async #ask(machine: Machine, unit: string): Promise<void> {
    try {
      const { isActive, job } = await this.#manager.unitState(unit);
      machine.job = job;
      if (this.#set.has(machine) && (isActive || job !== null)) {
        this.#start(machine);
        return;
      }
    } catch (error) {
      this.#log.warning(`Cannot find out whether ${unit} was made: ${(error as Error).message}`);
    }
    this.#saver.release(machine.name);
    this.#registry.drop(machine);
  }
}

/** Returns the process of a saved PID, or null when it has ended or another process has its number now. */
function revive(pid: number, id: bigint | null, registeredUsec: bigint | null): PidRef | null {
  if (pid <= 1) return null;
  try {
    using owned = new DisposableStack();
    const process = owned.use((id === null ? null : PidRef.ofCommon(pid, id)) ?? PidRef.of(pid));
    const isKnown = id !== null && process.id !== null;
    const isOther = isKnown ? process.id !== id : registeredUsec !== null && startedAfter(process, registeredUsec);
    if (isOther || !process.isAlive()) return null;
    owned.move();
    return process;
  } catch (error) {
    if (!isErrno(error, "ESRCH")) throw error;
    return null;
  }
}

/** Clock ticks of /proc in a second, on all architectures. */
const TICKS = 100n;

/**
 * Whether a process was started after that moment of CLOCK_MONOTONIC, from which on its number was another one's. False
 * where that cannot be read, and perhaps where the host was suspended since, because start times count that time.
 */
function startedAfter({ pid }: PidRef, monotonic: bigint): boolean {
  const ticks = unlessErrno(() => startTicksSoon(pid), null, ...UNREADABLE);
  // In this order: what passes between the two readings must not make the process look younger.
  const nowUsec = monotonicUsec();
  const suspendedUsec = bootTimeUsec() - nowUsec;
  return ticks !== null && (ticks * 1_000_000n) / TICKS > monotonic + suspendedUsec;
}

/**
 * Errors of reading the start time: the process has ended, or is hidden from this user (hidepid), or hangs; or no
 * process can be started for the reading.
 */
const UNREADABLE = ["ESRCH", "ENOENT", "EACCES", "EPERM", "ETIMEDOUT", "EAGAIN"];
