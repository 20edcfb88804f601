// One reader of the log: its position and its next reply.
import { invalidArgument } from "../../base/error.ts";
import type { Entry } from "./history.ts";
import { type EventLog, type EventReply, nowUsec } from "./log.ts";

/** The request of a reader. */
export interface Wanted {
  readonly cursor: string | null;
  readonly sinceUsec: number | null;
  /** Names of machines and images; null for all. */
  readonly names: ReadonlySet<string> | null;
  readonly types: ReadonlySet<string> | null;
  readonly follows: boolean;
}

export class Reader {
  readonly #log: EventLog;
  readonly #wanted: Wanted;
  readonly #done: () => void;
  /** The number after the last event for a reader that does not follow. */
  readonly #end: number;
  /** The number of the last event that was sent to it or filtered out. */
  #seen: number;
  #hasBegun = false;
  /** Its cursor belonged to a log that is lost, and the reply that says so was not sent yet. */
  #isLost: boolean;

  /**
   * `done` is called when a reader that does not follow has received all events. Throws InvalidArgs for an invalid
   * cursor.
   */
  constructor(log: EventLog, wanted: Wanted, done: () => void) {
    const { cursor, sinceUsec, follows } = wanted;
    const seen = cursor === null ? (sinceUsec === null ? log.next - 1 : log.oldest - 1) : log.seenBy(cursor);
    if (seen === undefined) throw invalidArgument("cursor", "The cursor is not valid");
    this.#log = log;
    this.#wanted = wanted;
    this.#done = done;
    this.#isLost = seen === null;
    this.#seen = seen ?? log.oldest - 1;
    this.#end = follows ? Number.POSITIVE_INFINITY : log.next;
  }

  /** Returns the next reply as JSON; null while there is none. */
  next(): string | null {
    const log = this.#log;
    if (!this.#hasBegun) {
      this.#hasBegun = true;
      return JSON.stringify(this.#aboutLog("begin"));
    }
    const missed = this.#missed();
    if (missed !== null) return JSON.stringify(missed);
    while (this.#seen + 1 < Math.min(log.next, this.#end)) {
      this.#seen++;
      const entry = log.at(this.#seen) as Entry;
      if (this.#isFor(entry)) return entry.text;
    }
    if (this.#seen + 1 >= this.#end) this.#done();
    return null;
  }

  /** Returns the last reply to a reader that does not follow. */
  last(): EventReply {
    return this.#aboutLog("end");
  }

  #aboutLog(event: "begin" | "missed" | "end"): EventReply {
    return { cursor: this.#log.cursorOf(this.#seen), time: nowUsec(), type: "log", event };
  }

  /** Returns a reply about events that were dropped since the reader's position; once for each gap. */
  #missed(): EventReply | null {
    const gone = Math.max(this.#log.oldest - 1 - this.#seen, 0);
    const isLost = this.#isLost;
    this.#seen += gone;
    this.#isLost = false;
    if (isLost) return this.#aboutLog("missed");
    return gone > 0 ? { ...this.#aboutLog("missed"), count: gone } : null;
  }

  #isFor({ type, subject, timeUsec }: Entry): boolean {
    const { names, types, sinceUsec, cursor } = this.#wanted;
    if (names !== null && !names.has(subject)) return false;
    if (types !== null && !types.has(type)) return false;
    return cursor !== null || sinceUsec === null || timeUsec >= sinceUsec;
  }
}
