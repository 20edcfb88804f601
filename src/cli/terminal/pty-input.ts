// Copies standard input to the terminal of a session, and at its end writes the control character that means end of
// file.
//
// While the machine's service manager sets up the program, it discards the terminal's input queue, which would include
// data from a pipe. So input that is not typed is held back until the program is there: until then, the leader of the
// terminal's session is a process of the service manager, whose name is in parentheses. Typed input is not held back,
// because it may contain the terminal emulator's reply to an escape sequence.
import { errnoNameOf } from "../../base/error.ts";
import { readSome, writeSome } from "../../kernel/file/byte-io.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { processComm } from "../../kernel/process/pidref.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import { inputMode, sessionLeader } from "../../kernel/terminal/state.ts";
import { EscapeCounter } from "./pty-escape.ts";

const NEWLINE = 0x0a;
/** The value of a control character that is disabled (_POSIX_VDISABLE in termios(3)). */
const DISABLED = 0;
const POLL_MS = 5;
/**
 * How long input is held back if the program cannot be seen, because its process is on another host or in another
 * namespace.
 */
const HOLD_BACK_MS = 3000;
/** The end-of-file character is repeated while the program runs, because each of several readers consumes one. */
const REPEAT_END_MS = 250;
const REPEAT_END_MAX_MS = 8000;

interface InputOptions {
  /** Standard input, non-blocking. */
  readonly source: Fd;
  /** The master of the terminal, non-blocking. */
  readonly master: Fd;
  /** Whether standard input is a terminal: its input is not held back, and its end is not passed on. */
  readonly isTyped: boolean;
  /** Called to continue copying in both directions. */
  readonly pump: () => void;
  /** Called when the escape sequence was typed. */
  readonly escape: () => void;
  /** Called when the caller's terminal has hung up. */
  readonly lost: () => void;
}

/** The copy from standard input to a terminal. */
export class PtyInput {
  readonly #options: InputOptions;
  readonly #escapes = new EscapeCounter();
  /** Input that has been read but not written. */
  #waiting: Buffer = Buffer.alloc(0);
  /** Whether input may be written to the terminal. */
  #isReady: boolean;
  /** Whether the end of input has been read. */
  #hasEnded = false;
  #lastByte = NEWLINE;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #repeatMs = REPEAT_END_MS;

  constructor(options: InputOptions) {
    this.#options = options;
    this.#isReady = options.isTyped;
    if (!this.#isReady) this.#lookForProgram(performance.now() + HOLD_BACK_MS);
  }

  /** Whether all input and its end were written: then the next hang-up ends the session, also of a `login`. */
  get isOver(): boolean {
    return this.#hasEnded && this.#isReady && this.#waiting.length === 0;
  }

  /** Does one write and one read if possible; returns false if neither was. */
  move(): boolean {
    const wrote = this.#isReady && this.#waiting.length > 0 && this.#write();
    return (this.#waiting.length === 0 && !this.#hasEnded && this.#read()) || wrote;
  }

  /** Stops copying; drops input that has not been written. */
  stop(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#hasEnded = true;
    this.#waiting = Buffer.alloc(0);
    this.#timer = null;
    this.#isReady = false;
  }

  #read(): boolean {
    const bytes = this.#readSource();
    if (bytes === null) return false;
    if (bytes.length === 0) {
      this.#hasEnded = true;
      if (this.#options.isTyped) this.#options.lost();
      else if (this.#isReady) this.#writeEnd();
      return false;
    }
    if (this.#escapes.feed(bytes, performance.now())) {
      this.#options.escape();
      return false;
    }
    this.#waiting = bytes;
    return true;
  }

  /** Returns bytes; null if there are none yet; an empty buffer at the end of file or after a hang-up. */
  #readSource(): Buffer | null {
    try {
      return readSome(this.#options.source, 4096);
    } catch (error) {
      if (isErrno(error, "EIO", "ECONNRESET", "EBADF", "EISDIR")) return Buffer.alloc(0);
      throw error;
    }
  }

  #write(): boolean {
    const count = this.#writeMaster(this.#waiting);
    if (count <= 0) return false;
    this.#lastByte = this.#waiting[count - 1] ?? NEWLINE;
    this.#waiting = this.#waiting.subarray(count);
    if (this.#waiting.length === 0 && this.#hasEnded) this.#writeEnd();
    return true;
  }

  #writeMaster(bytes: Uint8Array): number {
    try {
      return writeSome(this.#options.master, bytes);
    } catch (error) {
      // No process has the terminal open; the next read of the master handles that as a hang-up.
      if (isErrno(error, "EIO")) return -1;
      throw error;
    }
  }

  /** Writes the end-of-file character, and repeats that until the session ends. */
  #writeEnd(): void {
    const { isByLine, endOfFile } = inputMode(this.#options.master);
    if (endOfFile !== DISABLED) {
      // In the middle of a line, the first character only makes that part of a line readable.
      const isMidLine = isByLine && this.#lastByte !== NEWLINE;
      this.#writeMaster(Buffer.from(isMidLine ? [endOfFile, endOfFile] : [endOfFile]));
      this.#lastByte = NEWLINE;
    }
    this.#timer = setTimeout(() => this.#writeEnd(), this.#repeatMs);
    this.#repeatMs = Math.min(this.#repeatMs * 2, REPEAT_END_MAX_MS);
  }

  /** Polls until the program has the terminal, or until `untilMs`; then lets the input pass. */
  #lookForProgram(untilMs: number): void {
    this.#timer = setTimeout(() => {
      if (!hasProgram(this.#options.master) && performance.now() < untilMs) {
        this.#lookForProgram(untilMs);
        return;
      }
      this.#timer = null;
      this.#isReady = true;
      if (this.#hasEnded && this.#waiting.length === 0) this.#writeEnd();
      this.#options.pump();
    }, POLL_MS);
  }
}

/**
 * Whether the leader of the terminal's session is the program, no longer a process of the service manager. Returns
 * false where that cannot be read, as for users to whom /proc does not show the files of others (hidepid=1).
 */
function hasProgram(master: Fd): boolean {
  const leader = sessionLeader(master);
  if (leader === null) return false;
  try {
    return !processComm(leader).startsWith("(");
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    return false;
  }
}
