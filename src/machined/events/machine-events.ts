// Starts and ends of machines in the log. A daemon that starts finds machines that an earlier one has told of: these are not
// told again, and those that are gone have ended meanwhile.
import { processEnd } from "../../kernel/process/exit-status.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { Removal } from "../../registry/machine/registry.ts";
import type { EventFacts, EventLog } from "./log.ts";

export class MachineEvents {
  readonly #log: EventLog;
  /** The machines that are taken over from an earlier daemon; null when that is done. */
  #restored: Machine[] | null = [];

  constructor(log: EventLog) {
    this.#log = log;
  }

  /** Returns false for a machine that is taken over. */
  started(machine: Machine): boolean {
    const isNew = this.#restored === null;
    if (isNew) this.#tellStart(machine);
    else this.#restored?.push(machine);
    return isNew;
  }

  /** A machine of the earlier daemon, which that one may have told readers of without writing it down. */
  vanished(name: string, leader: number): void {
    if (this.#restored !== null) this.#log.running.set(name, leader);
  }

  leaderExited(machine: Machine): void {
    this.#log.append({ ...eventOf(machine, "leader-exited"), ...howLeaderEnded(machine) });
  }

  removed(machine: Machine, removal: Removal): void {
    const end = howLeaderEnded(machine);
    // A supervisor may unregister a machine that it has seen end.
    const how = removal === "unregistered" && end.how === undefined ? ({ how: "unregistered" } as const) : end;
    this.#log.append({ ...eventOf(machine, "ended"), ...how });
  }

  /**
   * All machines of an earlier daemon have been taken over. `isContinued`: the log knows which machines that daemon had; a
   * new log begins with those that run, without a word about when they were started.
   */
  takenOver(isContinued: boolean): void {
    const restored = this.#restored ?? [];
    this.#restored = null;
    const leaders = new Map(restored.map((machine) => [machine.name, machine.leader.pid]));
    for (const [machine, leader] of [...this.#log.running]) {
      if (leaders.get(machine) === leader) continue;
      if (isContinued) this.#log.append({ type: "machine", event: "ended", machine, leader });
      else this.#log.running.delete(machine);
    }
    for (const machine of restored) {
      if (!isContinued) this.#log.running.set(machine.name, machine.leader.pid);
      // Its start was told to readers, or not, when the earlier daemon was killed: rather twice than never.
      else if (!this.#log.running.has(machine.name)) this.#tellStart(machine);
    }
    // State files of machines that have ended are gone by now: nobody could tell this again.
    this.#log.flush();
  }

  #tellStart(machine: Machine): void {
    this.#log.append(eventOf(machine, "started"));
  }
}

function eventOf(machine: Machine, event: "started" | "ended" | "leader-exited"): EventFacts {
  const { name, service, class: machineClass } = machine.facts;
  return {
    ...{ type: "machine", event, machine: name, class: machineClass },
    service: service || undefined,
    unit: machine.place?.unit,
    leader: machine.leader.pid,
  };
}

function howLeaderEnded(machine: Machine): Pick<EventFacts, "how" | "status" | "signal"> {
  const end = processEnd(machine.leader);
  if (end === null) return {};
  return end.kind === "exited" ? { how: "exited", status: end.status } : { how: "killed", signal: end.signal };
}
