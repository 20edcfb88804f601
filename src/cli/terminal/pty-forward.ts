// A session (machinectl(1), "login" and "shell"): copies standard input to the master of a pseudo terminal and the
// terminal's output to standard output, until the terminal hangs up, the user types the escape sequence, or this
// process gets a signal. At a hang-up, the whole output of the terminal is written before the session ends, however
// slowly it is read.

import { errnoText } from "../../base/errno.ts";
import { inNextTurn } from "../../base/next-turn.ts";
import { watch } from "../../kernel/event/poller.ts";
import { readSome, writeSome } from "../../kernel/file/byte-io.ts";
import { copyStandard, type Fd, setNonblocking } from "../../kernel/file/fd.ts";
import { isErrno, SyscallError } from "../../kernel/syscall/sys.ts";
import type { Environment } from "../format/terminal.ts";
import { Failure } from "../session/failure.ts";
import { PtyInput } from "./pty-input.ts";
import { StandardStream } from "./pty-stream.ts";
import { OwnTerminal } from "./pty-terminal.ts";

/** Why a session ended; `lost`: the caller's input or output has ended. */
export type SessionEnd = "hangup" | "escape" | "signal" | "lost";

/** How a session ended. */
export interface SessionResult {
  readonly end: SessionEnd;
  /** The last byte of output; null if there was none. */
  readonly lastByte: number | null;
  /** 128 plus the number of the signal that ended the session, 0 for SIGINT, SIGTERM or none. */
  readonly status: number;
  /** Why output could not be written, for example "ENOSPC"; null also where nobody reads it any more. */
  readonly writeErrno: string | null;
}

/** Throws a Failure where the output of a session could not be written. */
export function requireWritten({ writeErrno }: Pick<SessionResult, "writeErrno">): void {
  if (writeErrno !== null) throw new Failure(`Failed to write output: ${errnoText(writeErrno)}`);
}

interface SessionOptions {
  /** The master of the terminal; the session owns and closes it. */
  readonly master: Fd;
  /**
   * Whether a hang-up ends the session, or is ignored because another program will open the terminal (getty after a
   * logout).
   */
  readonly hangup: "ends" | "waits";
  readonly env: Environment;
  /** Called at the end, while the caller's terminal is still raw. */
  readonly finish: (result: SessionResult) => void;
}

/** Errors of writing where the reader has left, or standard output was closed from the beginning. */
const NOBODY_READS = ["EPIPE", "EIO", "ECONNRESET", "EBADF"];
/** The number of reads and writes before the event loop runs other callbacks. */
const MOVES_PER_TURN = 64;
/** How long to wait for the hang-up of the terminal after the machine has ended. */
const HANGUP_MS = 2000;
/** Signals that end the session with status 0. */
const POLITE = ["SIGINT", "SIGTERM"] as const;
/** Signals that end the session with 128 plus their number. */
const HARSH = { SIGHUP: 1, SIGQUIT: 3 } as const;

/** One session. Start it with `run()`. */
export class PtySession {
  readonly #options: SessionOptions;
  readonly #input: PtyInput;
  readonly #stdin: StandardStream;
  readonly #stdout: StandardStream;
  readonly #terminal: OwnTerminal;
  readonly #finished = Promise.withResolvers<SessionEnd>();
  readonly #handlers: [NodeJS.Signals | "exit", () => void][] = [];
  /** Output of the terminal that has not been written yet. */
  #printing: Buffer = Buffer.alloc(0);
  #lastByte: number | null = null;
  #status = 0;
  #hasHungUp = false;
  #mayHangUp: boolean;
  /** Whether no hang-up is waited for any more. */
  #isGivenUp = false;
  #turnIsPlanned = false;
  #isOver = false;
  #writeErrno: string | null = null;

  constructor(options: SessionOptions) {
    this.#options = options;
    this.#mayHangUp = options.hangup === "ends";
    this.#terminal = new OwnTerminal(copyStandard(0), copyStandard(1), options.env);
    this.#stdin = StandardStream.open(0);
    this.#stdout = StandardStream.open(1);
    this.#input = new PtyInput({
      source: this.#stdin.fd,
      master: options.master,
      isTyped: this.#terminal.hasInput,
      pump: () => this.#pump(),
      escape: () => this.#finish("escape"),
      lost: () => this.#finish("lost"),
    });
  }

  /** Copies until the end of the session; restores the caller's terminal. */
  async run(): Promise<SessionResult> {
    const { master } = this.#options;
    try {
      setNonblocking(master);
      this.#catchSignals();
      this.#terminal.makeRaw();
      this.#terminal.passSize(master);
      const pump = () => this.#pump();
      watch(master, { read: true, write: true }, pump);
      this.#stdin.watch({ read: true }, pump);
      this.#stdout.watch({ write: true }, pump);
      this.#pump();
      const end = await this.#finished.promise;
      const result = { end, lastByte: this.#lastByte, status: this.#status, writeErrno: this.#writeErrno };
      this.#options.finish(result);
      return result;
    } finally {
      this.#input.stop();
      for (const [name, handler] of this.#handlers) process.off(name, handler);
      this.#stdin[Symbol.dispose]();
      this.#stdout[Symbol.dispose]();
      this.#terminal[Symbol.dispose]();
      master.close();
    }
  }

  /**
   * To be called when the machine has ended: the session then ends with the next hang-up. After `waitMs` it ends
   * without one, when the output that is there has been written.
   */
  expectHangup(waitMs = HANGUP_MS): void {
    this.#mayHangUp = true;
    const giveUp = () => {
      this.#isGivenUp = true;
      this.#pump();
    };
    setTimeout(giveUp, waitMs).unref();
    this.#pump();
  }

  #catchSignals(): void {
    const on = (name: NodeJS.Signals | "exit", handler: () => void) => {
      this.#handlers.push([name, handler]);
      process.on(name, handler);
    };
    for (const name of POLITE) on(name, () => this.#finish("signal"));
    for (const [name, number] of Object.entries(HARSH)) {
      on(name as keyof typeof HARSH, () => {
        this.#status = 128 + number;
        this.#finish("signal");
      });
    }
    on("SIGWINCH", () => this.#terminal.passSize(this.#options.master));
    on("SIGCONT", () => this.#continue());
    on("exit", () => this.#terminal.restore());
  }

  /** After SIGCONT the terminal is made raw again: another program may have changed it while this one was stopped. */
  #continue(): void {
    this.#terminal.restore();
    this.#terminal.makeRaw();
    this.#terminal.passSize(this.#options.master);
    this.#pump();
  }

  /** Copies what can be copied without waiting. An error ends the session. */
  #pump(): void {
    try {
      this.#move();
    } catch (error) {
      this.#isOver = true;
      this.#finished.reject(error);
    }
  }

  /** Copies in both directions until neither makes progress, or MOVES_PER_TURN is reached. */
  #move(): void {
    for (let moves = 0; !this.#isOver; moves++) {
      if (moves === MOVES_PER_TURN) {
        this.#planTurn();
        return;
      }
      const printed = this.#print();
      if (this.#isOver) return;
      const typed = this.#input.move();
      if (!printed && !typed) return;
    }
  }

  /** Continues in the next turn of the event loop. */
  #planTurn(): void {
    if (this.#turnIsPlanned) return;
    this.#turnIsPlanned = true;
    inNextTurn(() => {
      this.#turnIsPlanned = false;
      this.#pump();
    });
  }

  /** Does one read from the terminal or one write to standard output; returns false if neither was possible. */
  #print(): boolean {
    if (this.#printing.length > 0 && !this.#write()) return false;
    if (this.#printing.length > 0) return true;
    const bytes = this.#readMaster();
    if (bytes !== null) {
      this.#printing = bytes;
      return true;
    }
    const isEnd = this.#hasHungUp && (this.#mayHangUp || this.#input.isOver);
    if (isEnd || this.#isGivenUp) this.#finish("hangup");
    return false;
  }

  /** Returns output of the terminal; null if there is none at the moment, or after a hang-up, which sets #hasHungUp. */
  #readMaster(): Buffer | null {
    try {
      const bytes = readSome(this.#options.master);
      this.#hasHungUp = bytes?.length === 0;
      return this.#hasHungUp ? null : bytes;
    } catch (error) {
      if (!isErrno(error, "EIO")) throw error;
      this.#hasHungUp = true;
      return null;
    }
  }

  /** Writes pending output; returns false if standard output accepted none. */
  #write(): boolean {
    try {
      const count = writeSome(this.#stdout.fd, this.#printing);
      if (count <= 0) return false;
      this.#lastByte = this.#printing[count - 1] ?? null;
      this.#printing = this.#printing.subarray(count);
      return true;
    } catch (error) {
      // The reader has left, or the disk is full: the session ends.
      if (!(error instanceof SyscallError)) throw error;
      if (!NOBODY_READS.includes(error.errnoName)) this.#writeErrno = error.errnoName;
      this.#finish("lost");
      return false;
    }
  }

  #finish(end: SessionEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#finished.resolve(end);
  }
}
