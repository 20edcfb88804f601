// Measures the resource usage of several machines, all or those that the user names, while machines start and end.

import { meansNoProcess } from "../../base/absence.ts";
import { PidRef } from "../../kernel/process/pidref.ts";
import { monotonicUsec } from "../../kernel/syscall/time.ts";
import { Meter, type Usage } from "../../stats/meter.ts";
import { type Reading, type Stats, statsOf } from "../../stats/rates.ts";
import { type MachineFacts, machineFacts } from "../machine/details.ts";
import { chosenMachines } from "../machine/names.ts";
import { attempt, Failure, meansNoMachine } from "../session/failure.ts";
import { PROC_HIDES } from "../session/hidden-processes.ts";
import type { Session } from "../session/session.ts";

/** A machine that is measured; `last` is the reading before, from which rates are computed. */
interface Measured {
  readonly facts: MachineFacts;
  readonly leader: PidRef;
  readonly meter: Meter;
  last: Reading | null;
}

/** The leader runs, and this user may not see it. */
class Hidden extends Failure {
  constructor(name: string) {
    super(`Cannot read the resource usage of machine '${name}': ${PROC_HIDES}`, {
      hint: "Run it as root, which sees all processes.",
    });
  }
}

/** A set of machines with open meters. */
export class MeasuredMachines implements Disposable {
  readonly #session: Session;
  readonly #names: readonly string[];
  readonly #machines = new Map<string, Measured>();
  readonly #hidden = new Set<string>();
  #refreshing: Promise<void> | null = null;
  /** Whether a call of refresh() has succeeded. */
  #hasBegun = false;
  #isOver = false;

  /** `names` are words such as `web`, `web,db` and `web*`; empty for all machines. */
  constructor(session: Session, names: readonly string[]) {
    this.#session = session;
    this.#names = names;
  }

  /**
   * Adds machines that have started, replaces those that were started again, and drops those that have ended. The first
   * call throws for a named machine that is unknown. A call during another one returns when that does.
   */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#refresh().finally(() => {
      this.#refreshing = null;
    });
    return this.#refreshing;
  }

  async #refresh(): Promise<void> {
    const wanted = await this.#wanted();
    for (const name of this.#machines.keys()) if (!wanted.includes(name)) this.#drop(name);
    let hidden: Hidden | null = null;
    for (const name of wanted) {
      if (this.#machines.get(name)?.leader.isAlive() === true) continue;
      try {
        await this.#measure(name);
      } catch (error) {
        if (!this.#hasBegun && this.#names.length > 0) throw error;
        if (error instanceof Hidden) {
          hidden = error;
          this.#hidden.add(name);
          continue;
        }
        // The machine has ended since the list was queried, or since it was named.
        if (meansNoMachine(error)) this.#drop(name);
        // The leader has ended, and the manager has not noticed it yet. After any other error the list would lack a
        // machine that runs.
        else if (!meansNoProcess(error)) throw error;
      }
    }
    // An empty list would say that there are no machines.
    if (hidden !== null && this.#machines.size === 0) throw hidden;
    this.#hasBegun = true;
  }

  /** Opens the meter of a machine, unless it is the one that is measured already and only its leader has ended. */
  async #measure(name: string): Promise<void> {
    const facts = await machineFacts(this.#session, name);
    const before = this.#machines.get(name)?.facts;
    const isSame = before?.leaderPid === facts.leaderPid && before.sinceUsec === facts.sinceUsec;
    if (isSame || this.#isOver) return;
    const leader = PidRef.of(facts.leaderPid);
    try {
      const meter = new Meter(facts.leaderPid, facts.unit);
      this.#drop(name);
      this.#machines.set(name, { facts, leader, meter, last: null });
    } catch (error) {
      // By the options of the mount, /proc has no such process, or not its files.
      const isHidden = leader.isAlive() && meansNoProcess(error);
      leader[Symbol.dispose]();
      throw isHidden ? new Hidden(name) : error;
    }
  }

  /** The machines that are left out because this user may not see their processes. */
  get hidden(): readonly string[] {
    return [...this.#hidden];
  }

  /** Reads the usage of each machine, with rates since the last call; sorted by name. */
  read(): Stats[] {
    const atUsec = Number(monotonicUsec());
    return Array.from(this.#machines, ([name, machine]) => {
      const now = { atUsec, usage: machine.meter.read() };
      const { last } = machine;
      machine.last = now;
      return statsOf(name, now, last);
    }).sort((a, b) => (a.machine < b.machine ? -1 : 1));
  }

  /** Reads the counters of each machine; sorted by name. */
  readUsage(): { readonly facts: MachineFacts; readonly usage: Usage }[] {
    return Array.from(this.#machines.values(), ({ facts, meter }) => ({ facts, usage: meter.read() })).sort((a, b) =>
      a.facts.name < b.facts.name ? -1 : 1,
    );
  }

  /** Returns the facts from when a machine was added; null for one that is not measured. */
  factsOf(name: string): MachineFacts | null {
    return this.#machines.get(name)?.facts ?? null;
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    for (const name of this.#machines.keys()) this.#drop(name);
  }

  #drop(name: string): void {
    const machine = this.#machines.get(name);
    this.#machines.delete(name);
    machine?.meter[Symbol.dispose]();
    machine?.leader[Symbol.dispose]();
  }

  async #wanted(): Promise<string[]> {
    const { transport } = this.#session.settings;
    if (transport.kind !== "local")
      throw new Failure("Resource usage can be read for machines of this host only: leave out -H and -M");
    if (this.#names.length > 0) return chosenMachines(this.#session, this.#names.join(","));
    const { machines } = await attempt("Could not get machines", () => this.#session.manager("ListMachines", {}));
    const names = machines.map(([name]) => name);
    return names.filter((name) => this.#session.settings.all || !name.startsWith("."));
  }
}
