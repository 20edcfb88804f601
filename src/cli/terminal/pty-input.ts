// What goes to the terminal of a session: bytes of standard input, not before the program is there to read them, and at
// their end the byte that means end of file.
//
// A service manager empties the terminal's queue while it prepares the program, and with it what a pipe had already sent.
// So input that nobody types waits until the terminal's session has been taken over by the program. Its leader carries a
// name in parentheses until then. What is typed does not wait: an answer to a question of the terminal may be among it.
import { readSome, writeSome } from "../../kernel/file/byte-io.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { processComm } from "../../kernel/process/pidref.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import { inputMode, sessionLeader } from "../../kernel/terminal/terminal-state.ts";
import { EscapeCounter } from "./pty-escape.ts";

const NEWLINE = 0x0a;
/** A control character that no byte stands for. */
const DISABLED = 0;
const LOOK_EVERY_MS = 5;
/** Where the program cannot be seen (it is in no process tree of ours), input waits this long. */
const LOOK_UNTIL_MS = 3000;
/** The end of file is repeated while the program runs, because each of several readers needs one. */
const REPEAT_END_MS = 250;
const REPEAT_END_MAX_MS = 8000;

interface InputOptions {
  readonly source: Fd;
  readonly master: Fd;
  /** Input is typed on a terminal: it is never held back and has no end to pass on. */
  readonly isTyped: boolean;
  /** Continues copying in both directions. */
  readonly pump: () => void;
  /** The escape sequence was typed. */
  readonly escape: () => void;
  /** The caller's terminal has hung up. */
  readonly lost: () => void;
}

export class PtyInput {
  readonly #options: InputOptions;
  readonly #escapes = new EscapeCounter();
  #waiting: Buffer = Buffer.alloc(0);
  #isReady: boolean;
  #hasEnded = false;
  #lastByte = NEWLINE;
  #timer: ReturnType<typeof setTimeout> | null = null;
  #repeatMs = REPEAT_END_MS;

  constructor(options: InputOptions) {
    this.#options = options;
    this.#isReady = options.isTyped;
    if (!this.#isReady) this.#lookForProgram(performance.now() + LOOK_UNTIL_MS);
  }

  /** The end of input was sent: the next hang-up ends the session, even if another program could take the terminal. */
  get isOver(): boolean {
    return this.#hasEnded && this.#isReady && this.#waiting.length === 0;
  }

  /** Moves what can be moved now; true when something was. */
  move(): boolean {
    const wrote = this.#isReady && this.#waiting.length > 0 && this.#write();
    return (this.#waiting.length === 0 && !this.#hasEnded && this.#read()) || wrote;
  }

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
      else if (this.#isReady) this.#sayEnd();
      return false;
    }
    if (this.#escapes.feed(bytes, performance.now())) {
      this.#options.escape();
      return false;
    }
    this.#waiting = bytes;
    return true;
  }

  /** Some bytes, null for none yet, and none for the end or a terminal that is gone. */
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
    if (this.#waiting.length === 0 && this.#hasEnded) this.#sayEnd();
    return true;
  }

  #writeMaster(bytes: Uint8Array): number {
    try {
      return writeSome(this.#options.master, bytes);
    } catch (error) {
      // No process has the terminal open now; the next read decides what that means.
      if (isErrno(error, "EIO")) return -1;
      throw error;
    }
  }

  #sayEnd(): void {
    const { isByLine, endOfFile } = inputMode(this.#options.master);
    if (endOfFile !== DISABLED) {
      // In the middle of a line the first one only ends that line.
      const isMidLine = isByLine && this.#lastByte !== NEWLINE;
      this.#writeMaster(Buffer.from(isMidLine ? [endOfFile, endOfFile] : [endOfFile]));
      this.#lastByte = NEWLINE;
    }
    this.#timer = setTimeout(() => this.#sayEnd(), this.#repeatMs);
    this.#repeatMs = Math.min(this.#repeatMs * 2, REPEAT_END_MAX_MS);
  }

  #lookForProgram(untilMs: number): void {
    this.#timer = setTimeout(() => {
      if (!hasProgram(this.#options.master) && performance.now() < untilMs) {
        this.#lookForProgram(untilMs);
        return;
      }
      this.#timer = null;
      this.#isReady = true;
      if (this.#hasEnded && this.#waiting.length === 0) this.#sayEnd();
      this.#options.pump();
    }, LOOK_EVERY_MS);
  }
}

/** Whether a program has taken over the terminal from the service manager. */
function hasProgram(master: Fd): boolean {
  const leader = sessionLeader(master);
  if (leader === null) return false;
  try {
    return !processComm(leader).startsWith("(");
  } catch (error) {
    if (isErrno(error, "ESRCH")) return false;
    throw error;
  }
}
