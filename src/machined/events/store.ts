// The log of events on disk, for the next daemon: two files of JSON lines below the runtime directory, EVENTS and
// EVENTS.old. The first line of each is a head; the others are events as readers get them, and further heads, which
// each daemon writes at its start and at its end, so that the next one need not read the events before. The younger
// file is appended to in batches, by a timer, so that no registration waits for it. When it is full it is renamed to
// the older one: no line is written twice, and there are at most two files. A last line that a kill cut short is
// ignored; a batch that could not be written completely (full /run) is cut off and retried.
import {
  closeSync,
  constants,
  ftruncateSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { errnoNameOf } from "../../base/error.ts";
import type { Log } from "../../registry/ports.ts";

/** What the log is and which machines run, where the line stands. */
export interface Head {
  /** The log's id: a cursor is valid only in the log of its id. */
  readonly log: string;
  /** Counts the daemons that wrote the log. */
  readonly epoch: number;
  /** The number of the first event after it. */
  readonly next: number;
  /** The leaders of the machines that ran, by name. */
  readonly running: Readonly<Record<string, number>>;
  /** The names of those that were paused. */
  readonly paused: readonly string[];
}

interface Younger {
  readonly events: number;
  /** Its length without a head at the end, which the next head replaces. */
  readonly bytes: number;
}

/** All present events, and their number. */
interface WholeLog {
  readonly count: number;
  readonly parts: Iterable<readonly string[]>;
}

/** The files of an earlier daemon. */
export interface Stored {
  /** The last head. */
  readonly head: Head;
  /** The lines of the events before it: the bytes, and where each line begins. */
  readonly before: { readonly bytes: Buffer; readonly starts: readonly number[] };
  /** The lines of the events after it. */
  readonly after: readonly string[];
  /** The younger file; null where it has no head, and cannot be continued. */
  readonly younger: Younger | null;
  /** All lines, heads and events, oldest first. */
  lines(): Iterable<string>;
}

const { O_APPEND, O_WRONLY } = constants;
const BATCH_MS = 100;
const RETRY_LIMIT_MS = 30_000;
const SEGMENT_LINES = 10_000;
const SEGMENT_BYTES = 8 << 20;
const LINE_END = 0x0a;
/** The third byte of a head, `{"log":`, and of no event, `{"cursor":`. */
const HEAD_MARK = 0x6c;

export class EventStore {
  readonly #path: string;
  readonly #log: Log;
  readonly #head: () => Head;
  #file: number | null = null;
  /** Whether the younger file has the first `#bytes` of this log; it may not be open yet. */
  #isPlaced = false;
  /** All events of the log, for a new file that could not be made yet. */
  #whole: (() => WholeLog) | null = null;
  #lines = 0;
  #bytes = 0;
  /** Whether a head is to be written before the next events. */
  #wantsHead = false;
  /** Whether the last line of the file is a head. */
  #isSettled = false;
  #pending: string[] = [];
  #timer: ReturnType<typeof setTimeout> | null = null;
  #retryMs = BATCH_MS;
  #isClosed = false;

  /** `head`: returns the head of a file that begins after all present events. */
  constructor(path: string, log: Log, head: () => Head) {
    this.#path = path;
    this.#log = log;
    this.#head = head;
  }

  /** Reads the files of an earlier daemon; null where there are none with a head. */
  load(): Stored | null {
    return storedIn(this.#read(`${this.#path}.old`), this.#read(this.#path));
  }

  /** Continues the younger file, as load() has returned it, with a head. */
  continue({ events, bytes }: Younger): void {
    this.#lines = events;
    this.#bytes = bytes;
    this.#isPlaced = true;
    this.#wantsHead = true;
    this.#attempt(() => this.#write());
  }

  /** Begins a new file with all events of the log, those that are pending among them, and removes earlier files. */
  begin(whole: () => WholeLog): void {
    this.#whole = whole;
    this.#attempt(() => this.#write());
  }

  /** Writes the line with the next batch. */
  append(line: string): void {
    if (this.#isClosed) return;
    this.#pending.push(line);
    // While the disk is full, pending lines use a limited amount of memory.
    if (this.#pending.length > 2 * SEGMENT_LINES) this.#pending.splice(0, SEGMENT_LINES);
    this.#plan();
  }

  /** Writes the pending lines now. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#pending.length === 0) return;
    const isWritten = this.#attempt(() => this.#write());
    this.#retryMs = isWritten ? BATCH_MS : Math.min(this.#retryMs * 2, RETRY_LIMIT_MS);
    if (!isWritten) this.#plan();
  }

  close(): void {
    this.flush();
    this.#wantsHead ||= !this.#isSettled;
    if (this.#whole !== null || (this.#isPlaced && this.#wantsHead)) this.#attempt(() => this.#write());
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
  }

  #plan(): void {
    if (this.#timer !== null) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.flush();
    }, this.#retryMs);
    this.#timer.unref();
  }

  #write(): void {
    if (this.#whole !== null) this.#place(this.#whole());
    if (this.#file === null && this.#isPlaced) this.#open();
    if (this.#file === null || this.#lines >= SEGMENT_LINES || this.#bytes >= SEGMENT_BYTES) this.#turn();
    const file = this.#file as number;
    const head = this.#wantsHead ? this.#headText(this.#pending.length) : "";
    try {
      this.#bytes += writeAll(file, head + textOf(this.#pending));
    } catch (error) {
      ftruncateSync(file, this.#bytes);
      throw error;
    }
    this.#isSettled = this.#pending.length === 0;
    this.#wantsHead = false;
    this.#lines += this.#pending.length;
    this.#pending = [];
  }

  /** Puts a new file with all events in the place of the others. */
  #place(whole: WholeLog): void {
    const temporary = `${this.#path}.new`;
    let bytes: number;
    try {
      bytes = this.#writeWhole(temporary, whole);
      renameSync(temporary, this.#path);
    } catch (error) {
      // A part of the log must not take the last room of a full disk, which the state files of machines need.
      rmSync(temporary, { force: true });
      throw error;
    }
    this.#placed(whole.count, bytes);
    this.#whole = null;
    this.#pending = [];
    this.#isSettled = true;
    rmSync(`${this.#path}.old`, { force: true });
  }

  /** Writes a file with all events and returns its length. */
  #writeWhole(path: string, { count, parts }: WholeLog): number {
    const file = openSync(path, "w", 0o600);
    try {
      let bytes = writeAll(file, this.#headText(count));
      for (const lines of parts) bytes += writeAll(file, textOf(lines));
      return bytes + writeAll(file, this.#headText(0));
    } finally {
      closeSync(file);
    }
  }

  /** The younger file becomes the older one. */
  #turn(): void {
    if (this.#file !== null) {
      closeSync(this.#file);
      this.#file = null;
    }
    if (this.#isPlaced) renameSync(this.#path, `${this.#path}.old`);
    this.#isPlaced = false;
    const text = this.#headText(this.#pending.length);
    writeFileSync(this.#path, text, { mode: 0o600 });
    this.#placed(0, Buffer.byteLength(text));
    this.#wantsHead = false;
    this.#open();
  }

  /** Notes what the younger file has now. */
  #placed(lines: number, bytes: number): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = null;
    this.#isPlaced = true;
    this.#lines = lines;
    this.#bytes = bytes;
  }

  /** Opens the younger file, unless somebody has removed it, and cuts off what is after the lines of this log. */
  #open(): void {
    try {
      this.#file = openSync(this.#path, O_WRONLY | O_APPEND);
    } catch (error) {
      if (errnoNameOf(error) !== "ENOENT") throw error;
      this.#isPlaced = false;
      return;
    }
    ftruncateSync(this.#file, this.#bytes);
  }

  /**
   * Returns a head that is followed by the last of the present events, this many. It names the machines that run now,
   * and lines about their starts follow: reading them twice changes nothing.
   */
  #headText(events: number): string {
    const head = this.#head();
    return `${JSON.stringify({ ...head, next: head.next - events })}\n`;
  }

  /** Returns the whole lines of a file: the text after the last line end was cut short. Null where there are none. */
  #read(path: string): Buffer | null {
    try {
      const bytes = readFileSync(path);
      return bytes.subarray(0, bytes.lastIndexOf(LINE_END) + 1);
    } catch (error) {
      if (errnoNameOf(error) !== "ENOENT")
        this.#log.warning(`Cannot read the log of events: ${(error as Error).message}`);
      return null;
    }
  }

  /** Runs `work`; returns false where a system call fails, after a warning for the first time. */
  #attempt(work: () => void): boolean {
    try {
      work();
      return true;
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      const text = `Cannot write the log of events: ${(error as Error).message}`;
      if (this.#retryMs === BATCH_MS) this.#log.warning(text);
      else this.#log.debug(text);
      return false;
    }
  }
}

function textOf(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

/** Writes a text to a file and returns its length in bytes. Throws where not all of it can be written. */
function writeAll(file: number, text: string): number {
  const bytes = Buffer.from(text);
  if (writeSync(file, bytes) < bytes.length) throw Object.assign(new Error("no room"), { code: "ENOSPC" });
  return bytes.length;
}

/** Returns what the files contain; null where none begins with a head. */
function storedIn(older: Buffer | null, younger: Buffer | null): Stored | null {
  const files = [older, younger].filter((bytes) => bytes !== null && readHead(firstLine(bytes)) !== null) as Buffer[];
  const pieces: Buffer[] = [];
  const starts: number[] = [];
  let length = 0;
  let head: Head | null = null;
  let countBefore = 0;
  let last: Younger = { events: 0, bytes: 0 };
  for (const bytes of files) {
    const countOlder = starts.length;
    let lastHead = 0;
    // The first byte of the events that follow each other here.
    let piece = 0;
    const endPiece = (at: number) => {
      pieces.push(bytes.subarray(piece, at));
      length += at - piece;
    };
    for (let [at, end] = [0, 0]; at < bytes.length; at = end + 1) {
      end = bytes.indexOf(LINE_END, at);
      if (bytes[at + 2] !== HEAD_MARK) {
        starts.push(length + at - piece);
        continue;
      }
      endPiece(at);
      piece = end + 1;
      lastHead = at;
      head = readHead(bytes.toString("utf8", at, end)) ?? head;
      countBefore = starts.length;
    }
    endPiece(bytes.length);
    // A head at the beginning stays: a file without one would be ignored if the daemon were killed now.
    const isSettled = lastHead > 0 && piece === bytes.length;
    last = { events: starts.length - countOlder, bytes: isSettled ? lastHead : bytes.length };
  }
  if (head === null) return null;
  const bytes = Buffer.concat(pieces);
  const textFrom = (at: number) => bytes.toString("utf8", at).split("\n").slice(0, -1);
  return {
    head,
    before: { bytes: bytes.subarray(0, starts[countBefore] ?? bytes.length), starts: starts.slice(0, countBefore) },
    after: countBefore === starts.length ? [] : textFrom(starts[countBefore] as number),
    younger: younger !== null && files.at(-1) === younger ? last : null,
    lines: () => files.flatMap((file) => file.toString().split("\n").slice(0, -1)),
  };
}

function firstLine(bytes: Buffer): string {
  return bytes.toString("utf8", 0, Math.max(bytes.indexOf(LINE_END), 0));
}

/** Reads a head; null for any other line. */
export function readHead(line: string): Head | null {
  try {
    const { log, epoch, next, running, paused = [] } = JSON.parse(line) as Partial<Head>;
    const areNumbers = Number.isSafeInteger(epoch) && Number.isSafeInteger(next);
    if (typeof log !== "string" || !areNumbers || typeof running !== "object" || running === null) return null;
    return { log, epoch: epoch as number, next: next as number, running, paused };
  } catch {
    return null;
  }
}
