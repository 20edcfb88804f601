// Commands that run for callers, and what a user may have running at a time.
import { MachinedError } from "../base/error.ts";
import type { RunningCommand } from "../exec/run.ts";

const LIMITS = { all: 256, user: 32 } as const;

/** A place for one command: taken before anybody is asked for permission, left when the command has ended. */
interface CommandPlace extends Disposable {
  /** From now on signals reach the command; those that came earlier are sent now. */
  started(command: RunningCommand): void;
}

interface Entry {
  readonly uid: number;
  readonly id: string | undefined;
  command: RunningCommand | null;
  /** Signals that came before the command was started. */
  readonly early: number[];
}

function tooMany(who: string): MachinedError {
  return new MachinedError(
    "LimitsExceeded",
    `${who} running in machines, and no more are allowed: try again when one has ended`,
  );
}

export class Commands {
  readonly #entries = new Set<Entry>();
  readonly #changed: () => void;

  constructor(changed: () => void) {
    this.#changed = changed;
  }

  get size(): number {
    return this.#entries.size;
  }

  /** Throws LimitsExceeded where the user, or all together, have too many commands. */
  take(uid: number, id: string | undefined): CommandPlace {
    const own = [...this.#entries].filter((entry) => entry.uid === uid);
    if (uid !== 0 && own.length >= LIMITS.user) throw tooMany(`User ${uid} has ${own.length} commands`);
    if (uid !== 0 && this.#entries.size >= LIMITS.all)
      throw tooMany(`All users together have ${this.#entries.size} commands`);
    if (id !== undefined && own.some((entry) => entry.id === id)) {
      throw new MachinedError("InvalidArgs", `A command with the id '${id}' is running already`);
    }
    const entry: Entry = { uid, id, command: null, early: [] };
    this.#entries.add(entry);
    return {
      started: (command) => {
        entry.command = command;
        for (const signal of entry.early.splice(0)) command.kill(signal);
      },
      [Symbol.dispose]: () => {
        this.#entries.delete(entry);
        this.#changed();
      },
    };
  }

  /** Sends a signal to a user's command; false where the user has none of that id. */
  signal(uid: number, id: string, signal: number): boolean {
    const entry = [...this.#entries].find((one) => one.uid === uid && one.id === id);
    if (entry === undefined) return false;
    if (entry.command !== null) entry.command.kill(signal);
    else if (!entry.early.includes(signal)) entry.early.push(signal);
    return true;
  }

  /** Hangs up all commands. */
  hangUp(): void {
    for (const { command } of this.#entries) command?.kill(1);
  }
}
