// Finds the machines that have ended: those whose leader has ended, once no process is left in their unit.
import { errnoNameOf } from "../../base/error.ts";
import { watchCgroupEvents } from "../../kernel/cgroup/cgroup.ts";
import type { Machine } from "./machine.ts";
import type { MachineSet } from "./set.ts";

interface CollectorEvents {
  /** Called when the machine has ended. */
  gone(machine: Machine): void;
  /** Called once when its leader has ended and processes are left in its unit. */
  stays(machine: Machine): void;
}

export class Collector {
  readonly #set: MachineSet;
  readonly #events: CollectorEvents;
  readonly #queue = new Set<Machine>();
  readonly #awaitingEmpty = new WeakSet<Machine>();
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
    setImmediate(() => {
      this.#isPlanned = false;
      for (const queued of this.#queue) {
        this.#queue.delete(queued);
        this.#collect(queued);
      }
    });
  }

  /** Forgets a machine whose leader is gone, once no process is left in its unit (or in its cgroup below that). */
  #collect(machine: Machine): void {
    if (!this.#set.has(machine) || !machine.started || !machine.isLeaderless) return;
    if (machine.isOccupied) this.#awaitEmpty(machine);
    // The last process may have ended before the watch was set.
    if (!machine.isOccupied) this.#events.gone(machine);
  }

  #awaitEmpty(machine: Machine): void {
    if (machine.place === null || this.#awaitingEmpty.has(machine)) return;
    this.#awaitingEmpty.add(machine);
    this.#events.stays(machine);
    try {
      machine.watches.push(watchCgroupEvents(machine.place.cgroup, () => this.enqueue(machine)));
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
    }
  }
}
