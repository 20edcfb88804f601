// The watches of running machines. They are set shortly after a machine was registered, a few in each turn of the loop,
// so that no registration waits for them; a machine that ends before has none. Their number is limited.

import type { Machine } from "../../registry/machine/machine.ts";
import type { Log } from "../../registry/ports.ts";

/**
 * Sets the watches of one machine, and returns them; their new owner ends them. `isNew`: it was registered with this
 * daemon, not restored.
 */
type SetWatches = (machine: Machine, isNew: boolean) => readonly Disposable[];

const DELAY_MS = 100;
const PER_TURN = 16;

export class MachineWatches {
  readonly #set: SetWatches;
  readonly #log: Log;
  readonly #limit: number;
  /** Whether each of them was registered with this daemon. */
  readonly #waiting = new Map<Machine, boolean>();
  readonly #watched = new Map<Machine, readonly Disposable[]>();
  #timer: ReturnType<typeof setTimeout> | null = null;
  #hasWarned = false;

  constructor(set: SetWatches, log: Log, limit: number) {
    this.#set = set;
    this.#log = log;
    this.#limit = limit;
  }

  add(machine: Machine, isNew: boolean): void {
    this.#waiting.set(machine, isNew);
    this.#plan(DELAY_MS);
  }

  remove(machine: Machine): void {
    this.#waiting.delete(machine);
    for (const watch of this.#watched.get(machine) ?? []) watch[Symbol.dispose]();
    this.#watched.delete(machine);
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#waiting.clear();
    for (const machine of [...this.#watched.keys()]) this.remove(machine);
  }

  #plan(ms: number): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#work();
    }, ms);
    this.#timer.unref();
  }

  #work(): void {
    let count = 0;
    let isLate = false;
    for (const [machine, isNew] of [...this.#waiting]) {
      if (count === PER_TURN) break;
      // On a busy host, hundreds of scopes may wait for their start for longer than any fixed time.
      if (machine.awaitsScope) {
        isLate = true;
        continue;
      }
      this.#waiting.delete(machine);
      this.#watch(machine, isNew);
      count++;
    }
    if (this.#waiting.size > 0) this.#plan(isLate && count < PER_TURN ? DELAY_MS : 0);
  }

  #watch(machine: Machine, isNew: boolean): void {
    if (this.#watched.size < this.#limit) this.#watched.set(machine, this.#set(machine, isNew));
    else if (!this.#hasWarned) {
      this.#hasWarned = true;
      this.#log.warning(
        `More than ${this.#limit} machines: of further ones only starts and ends are in the log of events.`,
      );
    }
  }
}
