// Finds the machines that have ended: those whose leader has ended, once no process is left in their unit.

import { errnoNameOf } from "../../base/error.ts";
import { inNextTurn } from "../../base/next-turn.ts";
import { watchCgroupEvents } from "../../kernel/cgroup/cgroup.ts";
import type { Machine } from "./machine.ts";
import type { MachineSet } from "./set.ts";

interface CollectorEvents {
  /** Called when the machine has ended. */
  gone(machine: Machine): void;
  /** Called once when its leader has ended and processes are left in its unit. */
  stays(machine: Machine): void;
}

/** When a machine is looked at again that could not be looked at, or not watched. */
const LATER_MS = 1000;

export class Collector {
  readonly #set: MachineSet;
  readonly #events: CollectorEvents;
  readonly #queue = new Set<Machine>();
  readonly #later = new Set<Machine>();
  /** Machines that stay, and those of them whose group is watched. */
  readonly #staying = new WeakSet<Machine>();
  readonly #watched = new WeakSet<Machine>();
  #isPlanned = false;

  constructor(set: MachineSet, events: CollectorEvents) {
    this.#set = set;
    this.#events = events;
  }

  /** Checks the machine in the next turn of the event loop. */
  enqueue(machine: Machine): void {
    if (machine.isHost) return;
    this.#queue.add(machine);
    if (this.#isPlanned) return;
    this.#isPlanned = true;
    inNextTurn(() => {
      this.#isPlanned = false;
      for (const queued of this.#queue) {
        this.#queue.delete(queued);
        this.#collectIfPossible(queued);
      }
    });
  }

  /** No event would announce that its group can be read again: no descriptor was free, for example. */
  #collectIfPossible(machine: Machine): void {
    try {
      this.#collect(machine);
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      this.#enqueueLater(machine);
    }
  }

  /** Forgets a machine whose leader is gone, once no process is left in its unit (or in its cgroup below that). */
  #collect(machine: Machine): void {
    if (!this.#set.has(machine) || !machine.started || !machine.isLeaderless) return;
    if (machine.isOccupied) this.#awaitEmpty(machine);
    // The last process may have ended before the watch was set.
    if (!machine.isOccupied) this.#events.gone(machine);
  }

  /** A group that cannot be watched, because the host allows no further instance of inotify(7), is looked at again. */
  #awaitEmpty(machine: Machine): void {
    if (machine.place === null || this.#watched.has(machine)) return;
    if (!this.#staying.has(machine)) {
      this.#staying.add(machine);
      this.#events.stays(machine);
    }
    try {
      machine.watches.push(watchCgroupEvents(machine.place.cgroup, () => this.enqueue(machine)));
      this.#watched.add(machine);
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      this.#enqueueLater(machine);
    }
  }

  #enqueueLater(machine: Machine): void {
    if (this.#later.has(machine)) return;
    this.#later.add(machine);
    setTimeout(() => {
      this.#later.delete(machine);
      this.enqueue(machine);
    }, LATER_MS).unref();
  }
}
