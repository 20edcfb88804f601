// The events that the log keeps in memory. A daemon that has run for weeks has 10 000 of them, and hardly anybody reads
// them: the newest are objects, the older ones blocks of compressed JSON lines, a twentieth of the size.
import type { EventType } from "../../base/vocabulary/event.ts";
import { parseCursor } from "./cursor.ts";

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

/** An entry as it was read from its text. */
interface ParsedEntry extends Entry {
  /** The id of the log. */
  readonly log: string;
  readonly event: string;
  /** The leader of the machine; 0 for none. */
  readonly leader: number;
}

/** How many events are kept at most. */
export const ENTRIES_LIMIT = 10_000;
/** The limit of the length of all events: long names and many addresses must not fill the memory. */
const LENGTH_LIMIT = 16 << 20;
/** How many entries a block has. */
export const BLOCK_ENTRIES = 256;
/** The fastest level. It compresses 10 000 events to 130 KB in 3 ms. */
const LEVEL = 1;

const LINE_END = 0x0a;
const LINE =
  /^\{"cursor":"([0-9a-f-]+)","time":(\d+),"type":"([a-z]+)","event":"([a-z-]+)"(?:,"(?:machine|image|local)":("(?:[^"\\]|\\.)*"))?(?:.*,"leader":(\d+))?/s;

/** Reads the facts about an event from its text; null for a text that is no event. */
export function parseEntry(text: string): ParsedEntry | null {
  const [, cursor = "", time, type, event = "", quoted, leader] = LINE.exec(text) ?? [];
  const place = parseCursor(cursor);
  if (place === null) return null;
  const subject = quoted === undefined ? "" : (JSON.parse(quoted) as string);
  return {
    ...{ log: place.log, epoch: place.epoch, sequence: place.sequence, timeUsec: Number(time) },
    ...{ type: type as EventType, event, subject, leader: Number(leader ?? 0), text },
  };
}

/** BLOCK_ENTRIES entries, whose sequence numbers follow each other. */
interface Block {
  readonly first: number;
  /** The length of the texts. */
  readonly length: number;
  readonly bytes: Uint8Array;
  /** The entries, as long as the garbage collector leaves them: readers ask for one after the other. */
  unpacked: WeakRef<readonly Entry[]> | null;
}

function lengthOf(entries: readonly Entry[]): number {
  return entries.reduce((sum, { text }) => sum + text.length, 0);
}

function pack(first: number, length: number, lines: string | Buffer): Block {
  return { first, length, bytes: Bun.zstdCompressSync(lines, { level: LEVEL }), unpacked: null };
}

/** Returns the lines of a block. */
function linesOf({ bytes }: Block): string[] {
  return Bun.zstdDecompressSync(bytes).toString().split("\n");
}

function unpack(block: Block): readonly Entry[] {
  const present = block.unpacked?.deref();
  if (present !== undefined) return present;
  const entries = linesOf(block).map((line) => parseEntry(line) as Entry);
  block.unpacked = new WeakRef(entries);
  return entries;
}

/** The last entries, at most 10 000, in the order of their sequence numbers, which have no gaps. */
export class History {
  #blocks: Block[] = [];
  #recent: Entry[] = [];
  /** The length of all texts. */
  #length = 0;
  /** The number of the oldest entry; those before it in its block are dropped. */
  #oldest = 0;

  /** The number after the newest entry; undefined while there is none. */
  get end(): number | undefined {
    const last = this.#recent.at(-1);
    if (last !== undefined) return last.sequence + 1;
    const block = this.#blocks.at(-1);
    return block === undefined ? undefined : block.first + BLOCK_ENTRIES;
  }

  get size(): number {
    const { end } = this;
    return end === undefined ? 0 : end - this.#oldest;
  }

  /** The sequence number of the oldest entry; undefined while there is none. */
  get oldest(): number | undefined {
    return this.size === 0 ? undefined : this.#oldest;
  }

  /** Adds an entry, and drops the oldest ones that are above the limits. */
  push(entry: Entry): void {
    if (this.end === undefined) this.#oldest = entry.sequence;
    this.#recent.push(entry);
    this.#length += entry.text.length;
    if (this.#recent.length >= 2 * BLOCK_ENTRIES) {
      const packed = this.#recent.splice(0, BLOCK_ENTRIES);
      const lines = packed.map(({ text }) => text).join("\n");
      this.#blocks.push(pack(packed[0]?.sequence ?? 0, lengthOf(packed), lines));
    }
    this.#oldest = Math.max(this.#oldest, entry.sequence + 1 - ENTRIES_LIMIT);
    for (let [block] = this.#blocks; block !== undefined; [block] = this.#blocks) {
      const next = block.first + BLOCK_ENTRIES;
      if (this.#oldest < next && this.#length <= LENGTH_LIMIT) break;
      this.#oldest = Math.max(this.#oldest, next);
      this.#length -= block.length;
      this.#blocks.shift();
    }
    while (this.#length > LENGTH_LIMIT && this.#recent.length > 1) {
      this.#length -= (this.#recent.shift() as Entry).text.length;
      this.#oldest++;
    }
  }

  /**
   * Adds the lines of BLOCK_ENTRIES entries of a log as a block, before any entry is pushed. Of the lines it reads the
   * first and the last only. Returns false, and adds nothing, where these are not entries that follow those before.
   */
  adopt(lines: Buffer, log: string): boolean {
    const first = parseEntry(lines.toString("utf8", 0, lines.indexOf(LINE_END)));
    const last = parseEntry(lines.toString("utf8", lines.lastIndexOf(LINE_END) + 1));
    if (first === null || last === null || first.log !== log || last.log !== log) return false;
    if (last.sequence !== first.sequence + BLOCK_ENTRIES - 1) return false;
    const before = this.#blocks.at(-1);
    if (before === undefined) this.#oldest = first.sequence;
    else if (first.sequence !== before.first + BLOCK_ENTRIES) return false;
    this.#blocks.push(pack(first.sequence, lines.length, lines));
    this.#length += lines.length;
    return true;
  }

  /** Returns the entry of that number; undefined for one that is not kept. */
  at(sequence: number): Entry | undefined {
    if (sequence < this.#oldest) return undefined;
    const first = this.#recent[0]?.sequence ?? Number.POSITIVE_INFINITY;
    if (sequence >= first) return this.#recent[sequence - first];
    const index = sequence - (this.#blocks[0]?.first ?? 0);
    const block = this.#blocks[Math.floor(index / BLOCK_ENTRIES)];
    return block === undefined ? undefined : unpack(block)[index % BLOCK_ENTRIES];
  }

  /** Returns the texts of all entries, some at a time, so that they are not in memory all at once. */
  *texts(): Generator<readonly string[]> {
    for (const block of this.#blocks) yield linesOf(block).slice(Math.max(this.#oldest - block.first, 0));
    yield this.#recent.map(({ text }) => text);
  }

  clear(): void {
    this.#blocks = [];
    this.#recent = [];
    this.#length = 0;
  }
}
