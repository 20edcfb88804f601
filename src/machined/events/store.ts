// The log of events on disk, for the next daemon: two files of JSON lines below the runtime directory, EVENTS and
// EVENTS.old. The first line of each is its head; the others are events as readers get them. The younger file is
// appended to in batches, by a timer, so that no registration waits for it. When it is full it is renamed to the older
// one: no line is written twice, and there are at most two files. A last line that a kill cut short is ignored; a batch
// that could not be written completely (full /run) is cut off and retried.
import {
  closeSync,
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

/** The first line of a file. */
interface Head {
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

/** A file as it was read: its head, and the lines after it. */
export interface StoredSegment {
  readonly head: Head;
  readonly lines: readonly string[];
}

const BATCH_MS = 100;
const RETRY_LIMIT_MS = 30_000;
const SEGMENT_LINES = 10_000;
const SEGMENT_BYTES = 8 << 20;

export class EventStore {
  readonly #path: string;
  readonly #log: Log;
  readonly #head: () => Head;
  #file: number | null = null;
  #lines = 0;
  #bytes = 0;
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

  /** Reads the files of an earlier daemon, the older one first. */
  load(): StoredSegment[] {
    return [`${this.#path}.old`, this.#path].flatMap((path) => this.#read(path) ?? []);
  }

  /** Begins a new file with these lines, and removes earlier ones. */
  begin(lines: readonly string[]): void {
    this.#attempt(() => {
      const text = this.#text(lines.length, lines);
      const temporary = `${this.#path}.new`;
      writeFileSync(temporary, text, { mode: 0o600 });
      renameSync(temporary, this.#path);
      rmSync(`${this.#path}.old`, { force: true });
      this.#open(lines.length, Buffer.byteLength(text));
    });
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
    if (this.#file === null || this.#lines >= SEGMENT_LINES || this.#bytes >= SEGMENT_BYTES) this.#turn();
    const file = this.#file as number;
    const bytes = Buffer.from(this.#pending.map((line) => `${line}\n`).join(""));
    try {
      if (writeSync(file, bytes) < bytes.length) throw Object.assign(new Error("no room"), { code: "ENOSPC" });
    } catch (error) {
      ftruncateSync(file, this.#bytes);
      throw error;
    }
    this.#lines += this.#pending.length;
    this.#bytes += bytes.length;
    this.#pending = [];
  }

  /** The younger file becomes the older one. */
  #turn(): void {
    if (this.#file !== null) {
      closeSync(this.#file);
      this.#file = null;
      renameSync(this.#path, `${this.#path}.old`);
    }
    const text = this.#text(this.#pending.length, []);
    writeFileSync(this.#path, text, { mode: 0o600 });
    this.#open(0, Buffer.byteLength(text));
  }

  #open(lines: number, bytes: number): void {
    if (this.#file !== null) closeSync(this.#file);
    this.#file = openSync(this.#path, "a");
    this.#lines = lines;
    this.#bytes = bytes;
  }

  /**
   * Returns the text of a file whose lines are the last of the present events, this many. Its head names the machines
   * that run now, and lines about their starts follow: reading them twice changes nothing.
   */
  #text(events: number, lines: readonly string[]): string {
    const head = this.#head();
    return `${[JSON.stringify({ ...head, next: head.next - events }), ...lines].join("\n")}\n`;
  }

  #read(path: string): StoredSegment | null {
    let text: string;
    try {
      text = readFileSync(path, "utf8");
    } catch (error) {
      if (errnoNameOf(error) !== "ENOENT")
        this.#log.warning(`Cannot read the log of events: ${(error as Error).message}`);
      return null;
    }
    // The text after the last line end was cut short.
    const [first = "", ...lines] = text.slice(0, text.lastIndexOf("\n") + 1).split("\n");
    lines.pop();
    const head = readHead(first);
    return head === null ? null : { head, lines };
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

function readHead(line: string): Head | null {
  try {
    const { log, epoch, next, running, paused = [] } = JSON.parse(line) as Partial<Head>;
    const areNumbers = Number.isSafeInteger(epoch) && Number.isSafeInteger(next);
    if (typeof log !== "string" || !areNumbers || typeof running !== "object" || running === null) return null;
    return { log, epoch: epoch as number, next: next as number, running, paused };
  } catch {
    return null;
  }
}
