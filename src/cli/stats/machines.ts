// The machines that are measured: all, or those that are named. They come and go while others are looked at.
import { monotonicUsec } from "../../kernel/syscall/time.ts";
import { Meter, type Usage } from "../../stats/meter.ts";
import { type Reading, type Stats, statsOf } from "../../stats/rates.ts";
import { type MachineFacts, machineFacts } from "../machine/details.ts";
import { chosenMachines } from "../machine/names.ts";
import { attempt, Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

interface Measured {
  readonly facts: MachineFacts;
  readonly meter: Meter;
  last: Reading | null;
}

export class MeasuredMachines implements Disposable {
  readonly #session: Session;
  readonly #names: readonly string[];
  readonly #machines = new Map<string, Measured>();

  /** `names` are names, lists and patterns; none means all machines. */
  constructor(session: Session, names: readonly string[]) {
    this.#session = session;
    this.#names = names;
  }

  /** Which machines there are now. A machine that is named and not there is a Failure at the first call. */
  async refresh(): Promise<void> {
    const isFirst = this.#machines.size === 0;
    const wanted = await this.#wanted();
    for (const name of this.#machines.keys()) if (!wanted.includes(name)) this.#drop(name);
    for (const name of wanted) {
      if (this.#machines.has(name)) continue;
      try {
        const facts = await machineFacts(this.#session, name);
        this.#machines.set(name, { facts, meter: new Meter(facts.leaderPid, facts.unit), last: null });
      } catch (error) {
        // It ended between the list and the look.
        if (isFirst && this.#names.length > 0) throw error;
      }
    }
  }

  /** What each machine uses, in the order of their names. */
  read(): Stats[] {
    const atUsec = Number(monotonicUsec());
    return Array.from(this.#machines, ([name, machine]) => {
      const now = { atUsec, usage: machine.meter.read() };
      const { last } = machine;
      machine.last = now;
      return statsOf(name, now, last);
    }).sort((a, b) => (a.machine < b.machine ? -1 : 1));
  }

  /** The counters of each machine, in the order of their names. */
  readUsage(): { readonly facts: MachineFacts; readonly usage: Usage }[] {
    return Array.from(this.#machines.values(), ({ facts, meter }) => ({ facts, usage: meter.read() })).sort((a, b) =>
      a.facts.name < b.facts.name ? -1 : 1,
    );
  }

  /** What was known of a machine when its measuring began; null for one that is not measured. */
  factsOf(name: string): MachineFacts | null {
    return this.#machines.get(name)?.facts ?? null;
  }

  [Symbol.dispose](): void {
    for (const name of this.#machines.keys()) this.#drop(name);
  }

  #drop(name: string): void {
    this.#machines.get(name)?.meter[Symbol.dispose]();
    this.#machines.delete(name);
  }

  async #wanted(): Promise<string[]> {
    const { transport } = this.#session.settings;
    if (transport.kind !== "local")
      throw new Failure("What machines use is read from files of this host: -H and -M do not work here");
    if (this.#names.length > 0) return chosenMachines(this.#session, this.#names.join(","));
    const { machines } = await attempt("Could not get machines", () => this.#session.manager("ListMachines", {}));
    const names = machines.map(([name]) => name);
    return names.filter((name) => this.#session.settings.all || !name.startsWith("."));
  }
}
