// Starts and ends of machines in the log. A starting daemon restores machines that an earlier one has logged: their
// starts are not logged again, and the ends of those that are missing are logged.
import { processEnd } from "../../kernel/process/exit-status.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { Removal } from "../../registry/machine/registry.ts";
import type { EventFacts, EventLog } from "./log.ts";

export class MachineEvents {
  readonly #log: EventLog;
  /** The machines of an earlier daemon that are being restored; null when that is done. */
  #restored: Machine[] | null = [];
  /** Whether the host shuts down: that is then logged as the cause of each machine's end. */
  isHostStopping = false;

  constructor(log: EventLog) {
    this.#log = log;
  }

  /** Logs a start; returns false for a restored machine. */
  started(machine: Machine): boolean {
    const isNew = this.#restored === null;
    if (isNew) this.#tellStart(machine);
    else this.#restored?.push(machine);
    return isNew;
  }

  /** Logs the end of a machine of the earlier daemon, which may have sent its start to readers without writing it. */
  vanished(name: string, leader: number): void {
    if (this.#restored !== null) this.#log.running.set(name, leader);
  }

  leaderExited(machine: Machine): void {
    this.#log.append({ ...eventOf(machine, "leader-exited"), ...howLeaderEnded(machine) });
  }

  removed(machine: Machine, removal: Removal): void {
    const end = howLeaderEnded(machine);
    // A supervisor may unregister a machine whose end it has seen.
    const how = removal === "unregistered" && end.how === undefined ? ({ how: "unregistered" } as const) : end;
    const cause = this.isHostStopping ? ({ how: "host_shutdown" } as const) : {};
    this.#log.append({ ...eventOf(machine, "ended"), ...how, ...cause });
  }

  /**
   * Called when all machines of an earlier daemon have been restored. `isContinued`: the log knows the machines of that
   * daemon. A new log begins with the running machines, whose starts are not logged.
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
      // The killed daemon may not have sent the start to readers: it is logged twice rather than never.
      else if (!this.#log.running.has(machine.name)) this.#tellStart(machine);
    }
    // The state files of ended machines have been removed by now: these events could not be found again.
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
