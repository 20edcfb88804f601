// The running commands of all callers, and the limit for each user.
import { MachinedError } from "../base/error.ts";
import { mayTakeAnother, type ShareLimits } from "../base/fair-share.ts";
import type { RunningCommand } from "../exec/run.ts";
import { shareOwner } from "../kernel/process/share-owner.ts";

/** Limits of running commands, root's not counted. */
const LIMITS: ShareLimits = { all: 256, each: 32 };

/**
 * The place of one command: taken before authorization, so that waiting calls are limited too; disposed when the
 * command has ended.
 */
interface CommandPlace extends Disposable {
  /** Assigns the command; sends the signals that arrived before. */
  started(command: RunningCommand): void;
}

interface Entry {
  readonly uid: number;
  /** The user for whom it is counted (share-owner.ts). */
  readonly owner: number;
  readonly id: string | undefined;
  command: RunningCommand | null;
  /** Signals that arrived before the command was started. */
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

  /**
   * Takes a place for a command of `uid`, known to `signal()` as `id`. Throws LimitsExceeded where the user has too
   * many commands or more than its share of all (root has no limit), InvalidArgs where `id` is in use.
   */
  take(uid: number, id: string | undefined): CommandPlace {
    const owner = shareOwner(uid);
    if (uid !== 0) this.#requireRoom(owner);
    if (id !== undefined && [...this.#entries].some((entry) => entry.uid === uid && entry.id === id)) {
      throw new MachinedError("InvalidArgs", `A command with the id '${id}' is running already`);
    }
    const entry: Entry = { uid, owner, id, command: null, early: [] };
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

  #requireRoom(owner: number): void {
    const counted = [...this.#entries].filter(({ uid }) => uid !== 0);
    const own = counted.filter((entry) => entry.owner === owner).length;
    if (own >= LIMITS.each) throw tooMany(`User ${owner} has ${own} commands`);
    if (mayTakeAnother(own, counted.length, LIMITS)) return;
    throw tooMany(`User ${owner} has ${own} of the ${counted.length} commands of all users`);
  }

  /** Sends a signal to a command; returns false where the user has none with that id. */
  signal(uid: number, id: string, signal: number): boolean {
    const entry = [...this.#entries].find((one) => one.uid === uid && one.id === id);
    if (entry === undefined) return false;
    if (entry.command !== null) entry.command.kill(signal);
    else if (!entry.early.includes(signal)) entry.early.push(signal);
    return true;
  }

  /** Sends SIGHUP to all commands. */
  hangUp(): void {
    for (const { command } of this.#entries) command?.kill(1);
  }
}
