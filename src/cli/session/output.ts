// Writes texts to stdout and stderr, or both to the pager while one runs. The pager starts at the first text: of both
// streams if the user named a pager, else of stdout. So the error of a command that has printed nothing is on the
// terminal, where less would wait for a key if a line were longer than the terminal is wide.
//
// Texts are written completely: a slow, full or non-blocking pipe is waited for. After EPIPE (`| head -1`) the rest of
// the output is dropped silently. Other write errors are recorded in `failure`, for verbs that must report them.
//
// Texts are written at once, by a system call. A command that prints a little and ends may hold them back instead: then
// the engine writes them at the end, for which the kernel layer need not be loaded.
import { errnoNameOf } from "../../base/error.ts";
import { asWritten } from "../format/own-sequence.ts";

/** write(2): returns how many of the bytes were written; throws errors with a `code` such as "EAGAIN". */
export type WriteSome = (fd: number, bytes: Uint8Array) => number;

/** Writes all of a few bytes to stdout; rejects with an error with a `code`. */
export type WriteBrief = (bytes: Uint8Array) => Promise<unknown>;

/** The pipe into a pager. */
export interface PagerPipe {
  /** Queues text; returns false, and drops the text, once the pager has exited. */
  write(text: string): boolean;
  /** Resolves when the pager has read the text, or has exited. */
  drained(): Promise<void>;
  /** Closes the pipe to the pager and waits until the user quits it. */
  close(): Promise<void>;
}

/** A pager that does not run yet. */
export interface ReadyPager {
  /** Starts it; returns null if it cannot be executed. */
  start(): PagerPipe | null;
  /** Whether a text for stderr starts it, too. */
  readonly takesErrors: boolean;
}

const RETRY_MS = 2;
/**
 * PIPE_BUF. A write of up to this size to a pipe is done as a whole or not at all. When a part of a larger one does not
 * fit, the engine writes all of it again.
 */
const BRIEF_BYTES = 4096;

function codeOf(error: unknown): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return errnoNameOf(error) ?? "EIO";
}

/** The standard output and error of a client. Control characters in texts are escaped unless marked by own(). */
export class Output {
  /** The errno name of the first write to stdout that failed for another reason than EPIPE; null if none did. */
  failure: string | null = null;
  #pager: PagerPipe | null = null;
  /** The pager that starts at the next text; null if none is wanted or it runs. */
  #readyPager: ReadyPager | null = null;
  #closed = new Set<number>();
  /** What waits for flush(); null where texts are written at once. */
  #held: string | null = null;
  readonly #writeSome: WriteSome;
  readonly #writeBrief: WriteBrief | null;

  /** Without `writeBrief` nothing is held back. */
  constructor(writeSome: WriteSome, writeBrief: WriteBrief | null = null) {
    this.#writeSome = writeSome;
    this.#writeBrief = writeBrief;
  }

  /** Whether a pager shows the output, or will show it. */
  get hasPager(): boolean {
    return this.#pager !== null || this.#readyPager !== null;
  }

  /** Whether a write to stdout has failed, or the user has quit the pager, so that further output is dropped. */
  get isOver(): boolean {
    return this.#closed.has(1);
  }

  /** Starts the pager at the next text that starts it, and sends this and all further texts of both streams to it. */
  usePager(pager: ReadyPager): void {
    this.#release();
    this.#readyPager = pager;
  }

  /** Holds texts for stdout back until flush() or close(), as long as they are short and nothing else is written. */
  hold(): void {
    if (this.#writeBrief !== null) this.#held ??= "";
  }

  /** Writes what was held back; `failure` is then known. */
  async flush(): Promise<void> {
    const bytes = Buffer.from(asWritten(this.#held ?? ""));
    if (bytes.length > BRIEF_BYTES || this.#writeBrief === null) this.#release();
    if (this.#held === null) return;
    this.#held = null;
    if (bytes.length === 0) return;
    try {
      await this.#writeBrief?.(bytes);
    } catch (error) {
      this.#fail(1, error);
    }
  }

  /** Writes to stdout. */
  write(text: string): void {
    if (this.#held === null) this.#emit(1, text);
    else this.#held += text;
    if (this.#held !== null && this.#held.length > BRIEF_BYTES) this.#release();
  }

  /** Writes bytes to stdout unchanged, past the pager. Not for terminals: control characters are not escaped. */
  writeBytes(bytes: Uint8Array): void {
    this.#release();
    this.#emitBytes(1, bytes);
  }

  /** Writes bytes to stderr unchanged. */
  writeErrorBytes(bytes: Uint8Array): void {
    this.#release();
    this.#emitBytes(2, bytes);
  }

  /** Writes to stderr. */
  writeError(text: string): void {
    this.#release();
    this.#emit(2, text);
  }

  /** Resolves when the pager, if one runs, takes more: to be awaited by those who write without a limit. */
  async drained(): Promise<void> {
    await this.#pager?.drained();
  }

  /** Closes the pipe to the pager, if one runs, and waits until the user quits it. */
  async close(): Promise<void> {
    await this.flush();
    await this.#pager?.close();
    this.#pager = null;
    this.#readyPager = null;
  }

  /** Writes what was held back, and further texts at once: those that follow must come after it. */
  #release(): void {
    const held = this.#held;
    this.#held = null;
    if (held !== null) this.#emit(1, held);
  }

  #emit(fd: number, text: string): void {
    if (text === "") return;
    const written = asWritten(text);
    const ready = this.#readyPager;
    if (ready !== null && (fd === 1 || ready.takesErrors)) {
      this.#pager = ready.start();
      this.#readyPager = null;
    }
    if (this.#pager !== null) {
      if (!this.isOver && !this.#pager.write(written)) this.#closed.add(1);
      return;
    }
    this.#emitBytes(fd, Buffer.from(written));
  }

  #emitBytes(fd: number, bytes: Uint8Array): void {
    if (this.#closed.has(fd)) return;
    try {
      this.#writeAll(fd, bytes);
    } catch (error) {
      this.#fail(fd, error);
    }
  }

  #fail(fd: number, error: unknown): void {
    this.#closed.add(fd);
    const code = codeOf(error);
    if (fd === 1 && code !== "EPIPE") this.failure ??= code;
  }

  #writeAll(fd: number, bytes: Uint8Array): void {
    let rest = bytes;
    while (rest.length > 0) {
      try {
        rest = rest.subarray(this.#writeSome(fd, rest));
      } catch (error) {
        const code = codeOf(error);
        if (code === "EINTR") continue;
        if (code !== "EAGAIN") throw error;
        // Another process has set O_NONBLOCK on the shared pipe or terminal, and it is full.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
      }
    }
  }
}
