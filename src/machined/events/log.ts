// The log of events: the last 10 000, each with a cursor, in memory and (store.ts) on disk for the next daemon.
// Appending costs one object and wakes the readers in the next turn of the loop; each reader continues from its own
// position at its own pace. A reader whose position is older than the log gets the number of events that it missed.

import type { IoMachinedEvents } from "../../api/varlink/io-machined-events.ts";
import type { VarlinkResult } from "../../api/varlink-table.ts";
import { randomHex } from "../../base/random-hex.ts";
import type { EventType } from "../../base/vocabulary/event.ts";
import { realtimeUsec } from "../../kernel/syscall/time.ts";
import type { Log } from "../../registry/ports.ts";
import { formatCursor, type Place, parseCursor } from "./cursor.ts";
import { EventStore, type StoredSegment } from "./store.ts";

/** An event as readers get it. */
export type EventReply = VarlinkResult<typeof IoMachinedEvents, "Subscribe">;
/** An event to append; the log adds cursor and time. */
export type EventFacts = Omit<EventReply, "cursor" | "time">;

export interface Entry {
  readonly epoch: number;
  readonly sequence: number;
  readonly timeUsec: number;
  readonly type: EventType;
  /** The machine or image of the event; "" for none. */
  readonly subject: string;
  /** The whole event as JSON. */
  readonly text: string;
}

const ENTRIES_LIMIT = 10_000;
/** The limit of an event's length: long names and many addresses must not fill the memory. */
const LENGTH_LIMIT = 16 << 20;

/** Microseconds since 1970. */
export function nowUsec(): number {
  return Number(realtimeUsec());
}

const LINE =
  /^\{"cursor":"([0-9a-f-]+)","time":(\d+),"type":"([a-z]+)","event":"([a-z-]+)"(?:,"(?:machine|image|local)":("(?:[^"\\]|\\.)*"))?(?:.*,"leader":(\d+))?/;

export class EventLog {
  readonly #store: EventStore;
  readonly #entries: Entry[] = [];
  /** How many entries at the beginning have been dropped; they are removed from the array from time to time. */
  #dropped = 0;
  #length = 0;
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
    const segments = this.#store.load();
    for (const segment of segments) this.#restore(segment);
    if (segments.length > 0) this.#epoch++;
    this.#store.begin(this.#entries.slice(this.#dropped).map(({ text }) => text));
    return segments.length > 0;
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
    this.#keep({ epoch: this.#epoch, sequence: this.#next, timeUsec, type, subject, text });
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
    return this.#entries[this.#dropped]?.sequence ?? this.#next;
  }

  /** Returns the event of that number, which must not be older than the oldest; undefined for the next one. */
  at(sequence: number): Entry | undefined {
    return this.#entries[this.#dropped + sequence - this.oldest];
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

  #keep(entry: Entry): void {
    this.#entries.push(entry);
    this.#length += entry.text.length;
    while (this.#entries.length - this.#dropped > ENTRIES_LIMIT || this.#length > LENGTH_LIMIT) {
      this.#length -= (this.#entries[this.#dropped] as Entry).text.length;
      this.#dropped++;
    }
    // The array is cut rarely, because each cut moves all entries.
    if (this.#dropped >= ENTRIES_LIMIT) {
      this.#entries.splice(0, this.#dropped);
      this.#dropped = 0;
    }
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
    setImmediate(() => {
      this.#wakeIsPlanned = false;
      for (const wake of [...this.#readers]) wake();
    });
  }

  #restore({ head, lines }: StoredSegment): void {
    if (head.log !== this.#id) this.#clear();
    this.#id = head.log;
    this.#epoch = head.epoch;
    if (this.#entries.length === 0) this.#next = head.next;
    this.running.clear();
    for (const [name, leader] of Object.entries(head.running)) this.running.set(name, leader);
    this.paused.clear();
    for (const name of head.paused) this.paused.add(name);
    for (const line of lines) this.#restoreLine(line);
  }

  /**
   * Adds a line of a file. A line whose number does not follow the one before starts the log anew: the log has no gaps.
   */
  #restoreLine(text: string): void {
    const [, cursor = "", time, type, event = "", quoted, leader] = LINE.exec(text) ?? [];
    const place = parseCursor(cursor);
    if (place === null || place.log !== this.#id) return;
    const subject = quoted === undefined ? "" : (JSON.parse(quoted) as string);
    if (place.sequence !== this.#next) this.#clear();
    const { epoch, sequence } = place;
    this.#keep({ epoch, sequence, timeUsec: Number(time), type: type as EventType, subject, text });
    this.#next = sequence + 1;
    if (type === "machine") this.#count(event, subject, Number(leader ?? 0));
  }

  #clear(): void {
    this.#entries.length = 0;
    this.#dropped = 0;
    this.#length = 0;
  }
}
