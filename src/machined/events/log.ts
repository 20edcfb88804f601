// The log of events: the last 10 000, each with a cursor, in memory (history.ts) and on disk for the next daemon
// (store.ts).
// Appending costs one object and wakes the readers in the next turn of the loop; each reader continues from its own
// position at its own pace. A reader whose position is older than the log gets the number of events that it missed.

import type { IoMachinedEvents } from "../../api/varlink/io-machined-events.ts";
import type { VarlinkResult } from "../../api/varlink-table.ts";
import { inNextTurn } from "../../base/next-turn.ts";
import { randomHex } from "../../base/random-hex.ts";
import { realtimeUsec } from "../../kernel/syscall/time.ts";
import type { Log } from "../../registry/ports.ts";
import { formatCursor, type Place, parseCursor } from "./cursor.ts";
import { BLOCK_ENTRIES, ENTRIES_LIMIT, type Entry, History, parseEntry } from "./history.ts";
import { EventStore, type Head, readHead, type Stored } from "./store.ts";

/** An event as readers get it. */
export type EventReply = VarlinkResult<typeof IoMachinedEvents, "Subscribe">;
/** An event to append; the log adds cursor and time. */
export type EventFacts = Omit<EventReply, "cursor" | "time">;

/** Microseconds since 1970. */
export function nowUsec(): number {
  return Number(realtimeUsec());
}

export class EventLog {
  readonly #store: EventStore;
  readonly #history = new History();
  #id = randomHex(8);
  #epoch = 1;
  #next = 1;
  /** The leaders of the running machines, according to the log. */
  readonly running = new Map<string, number>();
  /** The paused machines, according to the log. */
  readonly paused = new Set<string>();
  readonly #readers = new Set<() => void>();
  #wakeIsPlanned = false;

  /** `path`: of the file; the log of an earlier daemon is continued. */
  constructor(path: string, log: Log) {
    this.#store = new EventStore(path, log, () => ({
      ...{ log: this.#id, epoch: this.#epoch, next: this.#next },
      running: Object.fromEntries(this.running),
      paused: [...this.paused],
    }));
  }

  /** Reads the log of an earlier daemon, once, before anything is appended. Returns false where there was none. */
  open(): boolean {
    const stored = this.#store.load();
    if (stored === null) {
      this.#begin();
      return false;
    }
    const isWhole = this.#adopt(stored);
    if (!isWhole) this.#readAll(stored);
    this.#epoch++;
    if (isWhole && stored.younger !== null) this.#store.continue(stored.younger);
    else this.#begin();
    return true;
  }

  #begin(): void {
    this.#store.begin(() => ({ count: this.#history.size, parts: this.#history.texts() }));
  }

  /** Writes the pending events now; otherwise a timer does. */
  flush(): void {
    this.#store.flush();
  }

  /** Writes the pending events, and none afterwards. */
  close(): void {
    this.#store.close();
  }

  append(facts: EventFacts, timeUsec: number = nowUsec()): void {
    const { type, event, machine, image, local, ...rest } = facts;
    const subject = machine ?? image ?? local ?? "";
    const place = { log: this.#id, epoch: this.#epoch, sequence: this.#next };
    const text = JSON.stringify({
      ...{ cursor: formatCursor(place), time: timeUsec, type, event, machine, image, local },
      ...rest,
    });
    this.#history.push({ epoch: this.#epoch, sequence: this.#next, timeUsec, type, subject, text });
    this.#next++;
    if (type === "machine" && machine !== undefined) this.#count(event, machine, Number(facts.leader ?? 0));
    this.#store.append(text);
    this.#planWake();
  }

  /** The number of the next event. */
  get next(): number {
    return this.#next;
  }

  /** The number of the oldest event that is kept; that of the next event while there is none. */
  get oldest(): number {
    return this.#history.oldest ?? this.#next;
  }

  /** Returns the event of that number, which must not be older than the oldest; undefined for the next one. */
  at(sequence: number): Entry | undefined {
    return this.#history.at(sequence);
  }

  /** Returns the cursor of the event of that number, or of the position before the oldest one. */
  cursorOf(sequence: number): string {
    const epoch = sequence < this.oldest ? (this.at(this.oldest)?.epoch ?? this.#epoch) : this.at(sequence)?.epoch;
    return formatCursor({ log: this.#id, epoch: epoch ?? this.#epoch, sequence });
  }

  /**
   * Returns the number of the last event that a reader with this cursor has seen. Null for a cursor of an earlier log,
   * whose events are lost; undefined for a text that is no cursor.
   */
  seenBy(cursor: string): number | null | undefined {
    const place = parseCursor(cursor);
    if (place === null) return undefined;
    if (place.log !== this.#id) return null;
    if (place.epoch > this.#epoch || (place.epoch === this.#epoch && place.sequence >= this.#next)) return undefined;
    return Math.min(place.sequence, this.#endOf(place));
  }

  /** Calls `wake` in the turn after new events. Returns the function that ends this. */
  follow(wake: () => void): () => void {
    this.#readers.add(wake);
    return () => void this.#readers.delete(wake);
  }

  /** The last written event of an epoch: later ones of that epoch are known to readers only. */
  #endOf({ epoch }: Place): number {
    let [low, high] = [this.oldest, this.#next];
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((this.at(middle)?.epoch ?? 0) <= epoch) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #count(event: string, machine: string, leader: number): void {
    if (event === "started") this.running.set(machine, leader);
    else if (event === "ended") this.running.delete(machine);
    if (event === "paused") this.paused.add(machine);
    else if (event !== "leader-exited") this.paused.delete(machine);
  }

  /** Wakes the readers once in the next turn of the loop, never while an event is being appended. */
  #planWake(): void {
    if (this.#wakeIsPlanned || this.#readers.size === 0) return;
    this.#wakeIsPlanned = true;
    inNextTurn(() => {
      this.#wakeIsPlanned = false;
      for (const wake of [...this.#readers]) wake();
    });
  }

  /**
   * Takes over the files without reading each line: the last head says what the events before it have led to. Returns
   * false where they are not the events of one log without a gap.
   */
  #adopt({ head, before: { bytes, starts }, after }: Stored): boolean {
    const wanted = Math.min(starts.length, ENTRIES_LIMIT);
    const first = starts.length - wanted;
    const loose = first + wanted - (wanted % BLOCK_ENTRIES);
    const endOf = (index: number) => (starts[index + 1] ?? bytes.length) - 1;
    for (let index = first; index < loose; index += BLOCK_ENTRIES) {
      const lines = bytes.subarray(starts[index], endOf(index + BLOCK_ENTRIES - 1));
      if (!this.#history.adopt(lines, head.log)) return false;
    }
    for (let index = loose; index < starts.length; index++) {
      const entry = parseEntry(bytes.toString("utf8", starts[index], endOf(index)));
      const { end } = this.#history;
      if (entry === null || entry.log !== head.log || (end !== undefined && entry.sequence !== end)) return false;
      this.#history.push(entry);
    }
    if ((this.#history.end ?? head.next) !== head.next) return false;
    this.#continueFrom(head);
    for (const line of after) this.#restoreLine(line);
    return true;
  }

  /** Reads each line of the files. */
  #readAll(stored: Stored): void {
    this.#history.clear();
    for (const line of stored.lines()) {
      const head = readHead(line);
      if (head === null) {
        this.#restoreLine(line);
        continue;
      }
      if (head.log !== this.#id) this.#history.clear();
      const next = this.#history.size === 0 ? head.next : this.#next;
      this.#continueFrom({ ...head, next });
    }
  }

  #continueFrom(head: Head): void {
    this.#id = head.log;
    this.#epoch = head.epoch;
    this.#next = head.next;
    this.running.clear();
    for (const [name, leader] of Object.entries(head.running)) this.running.set(name, leader);
    this.paused.clear();
    for (const name of head.paused) this.paused.add(name);
  }

  /**
   * Adds a line of a file. A line whose number does not follow the one before starts the log anew: the log has no gaps.
   */
  #restoreLine(text: string): void {
    const entry = parseEntry(text);
    if (entry === null || entry.log !== this.#id) return;
    if (entry.sequence !== this.#next) this.#history.clear();
    this.#history.push(entry);
    this.#next = entry.sequence + 1;
    if (entry.type === "machine") this.#count(entry.event, entry.subject, entry.leader);
  }
}
