// Writes whole texts to stdout and stderr, or both into the pager while one runs.
//
// Output is complete or fails: a slow, full or non-blocking pipe gets everything; a reader that
// went away (`| head -1`) ends the output quietly. Other write errors are kept for verbs that must report them.
import { errnoNameOf } from "../../base/error.ts";
import { asWritten } from "../format/own-sequence.ts";

/** Writes some bytes to a file descriptor and says how many; throws errors that carry `code` ("EAGAIN"). */
export type WriteSome = (fd: number, bytes: Uint8Array) => number;

/** Where output goes while a pager runs. */
export interface PagerPipe {
  /** False once the pager has gone. */
  write(text: string): boolean;
  /** Closes the pipe to the pager and waits until the user quits it. */
  close(): Promise<void>;
}

const RETRY_MS = 2;

function codeOf(error: unknown): string {
  if (error instanceof Error && "code" in error && typeof error.code === "string") return error.code;
  return errnoNameOf(error) ?? "EIO";
}

/** The two standard streams of a program. Control characters are written out unless the client itself made them. */
export class Output {
  /** The errno name of the first failed write to stdout, other than a reader that went away. */
  failure: string | null = null;
  #pager: PagerPipe | null = null;
  #closed = new Set<number>();
  readonly #writeSome: WriteSome;

  constructor(writeSome: WriteSome) {
    this.#writeSome = writeSome;
  }

  /** Whether a pager shows the output. */
  get hasPager(): boolean {
    return this.#pager !== null;
  }

  /** Whether nothing that is written to stdout arrives any more. */
  get isOver(): boolean {
    return this.#closed.has(1);
  }

  /** From now on everything goes to the pager. */
  usePager(pager: PagerPipe): void {
    this.#pager = pager;
  }

  /** Writes to stdout. */
  write(text: string): void {
    this.#emit(1, text);
  }

  /** Writes to stdout as it is: what programs read, and no terminal. */
  writeBytes(bytes: Uint8Array): void {
    this.#emitBytes(1, bytes);
  }

  /** The same to stderr. */
  writeErrorBytes(bytes: Uint8Array): void {
    this.#emitBytes(2, bytes);
  }

  /** Writes to stderr. */
  writeError(text: string): void {
    this.#emit(2, text);
  }

  /** Closes the pager, if one runs, and waits for its end. */
  async close(): Promise<void> {
    await this.#pager?.close();
    this.#pager = null;
  }

  #emit(fd: number, text: string): void {
    if (text === "") return;
    const written = asWritten(text);
    if (this.#pager !== null) {
      this.#pager.write(written);
      return;
    }
    this.#emitBytes(fd, Buffer.from(written));
  }

  #emitBytes(fd: number, bytes: Uint8Array): void {
    if (this.#closed.has(fd)) return;
    try {
      this.#writeAll(fd, bytes);
    } catch (error) {
      this.#closed.add(fd);
      const code = codeOf(error);
      if (fd === 1 && code !== "EPIPE") this.failure ??= code;
    }
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
        // Another process set O_NONBLOCK on the shared pipe or terminal: wait for room.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
      }
    }
  }
}
