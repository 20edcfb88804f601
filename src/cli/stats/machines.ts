// The machines that are measured: all, or those that are named. They come and go while others are looked at.
import { monotonicUsec } from "../../kernel/syscall/time.ts";
import { type MachineFacts, machineFacts } from "../machine/details.ts";
import { chosenMachines } from "../machine/names.ts";
import { attempt, Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { Meter, type Stats } from "./sample.ts";

export class MeasuredMachines implements Disposable {
  readonly #session: Session;
  readonly #names: readonly string[];
  readonly #meters = new Map<string, Meter>();
  readonly #facts = new Map<string, MachineFacts>();

  /** `names` are names, lists and patterns; none means all machines. */
  constructor(session: Session, names: readonly string[]) {
    this.#session = session;
    this.#names = names;
  }

  /** Which machines there are now. A machine that is named and not there is a Failure at the first call. */
  async refresh(): Promise<void> {
    const isFirst = this.#meters.size === 0;
    const wanted = await this.#wanted();
    for (const [name, meter] of this.#meters) if (!wanted.includes(name)) this.#drop(name, meter);
    for (const name of wanted) {
      if (this.#meters.has(name)) continue;
      try {
        const facts = await machineFacts(this.#session, name);
        this.#meters.set(name, new Meter(name, facts.leaderPid, facts.unit));
        this.#facts.set(name, facts);
      } catch (error) {
        // It ended between the list and the look.
        if (isFirst && this.#names.length > 0) throw error;
      }
    }
  }

  /** What each machine uses, in the order of their names. */
  read(): Stats[] {
    const nowUsec = Number(monotonicUsec());
    return [...this.#meters.values()]
      .map((meter) => meter.read(nowUsec))
      .sort((a, b) => (a.machine < b.machine ? -1 : 1));
  }

  /** What was known of a machine when its measuring began; null for one that is not measured. */
  factsOf(name: string): MachineFacts | null {
    return this.#facts.get(name) ?? null;
  }

  [Symbol.dispose](): void {
    for (const [name, meter] of this.#meters) this.#drop(name, meter);
  }

  #drop(name: string, meter: Meter): void {
    meter[Symbol.dispose]();
    this.#meters.delete(name);
    this.#facts.delete(name);
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
