// A session: our standard input and output joined to a pseudo terminal whose master we hold, until the other side hangs
// up, the way out is typed, or a signal ends us. Everything the terminal printed reaches standard output before the end,
// however slowly that is read. (machinectl(1), "login" and "shell")

import { watch } from "../../kernel/event/poller.ts";
import { readSome, writeSome } from "../../kernel/file/byte-io.ts";
import { copyStandard, type Fd, setNonblocking } from "../../kernel/file/fd.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import type { Environment } from "../format/terminal.ts";
import { PtyInput } from "./pty-input.ts";
import { StandardStream } from "./pty-stream.ts";
import { OwnTerminal } from "./pty-terminal.ts";

/** Why a session ended. */
export type SessionEnd = "hangup" | "escape" | "signal" | "lost";

export interface SessionResult {
  readonly end: SessionEnd;
  /** The last byte that was printed, or null when nothing was. */
  readonly lastByte: number | null;
  /** 128 plus the number of the signal that ended the session, 0 for SIGINT, SIGTERM or none. */
  readonly status: number;
}

interface SessionOptions {
  /** Taken, and closed at the end. */
  readonly master: Fd;
  /** Whether a hang-up ends the session, or another program takes the terminal (a getty does after each logout). */
  readonly hangup: "ends" | "waits";
  readonly env: Environment;
  /** Called at the end, while the terminal is still raw. */
  readonly finish: (result: SessionResult) => void;
}

/** After this many steps the event loop runs other callbacks. */
const MOVES_PER_TURN = 64;
const LAST_WORDS_MS = 2000;
const POLITE = ["SIGINT", "SIGTERM"] as const;
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
  #printing: Buffer = Buffer.alloc(0);
  #lastByte: number | null = null;
  #status = 0;
  #hasHungUp = false;
  #mayHangUp: boolean;
  #turnIsPlanned = false;
  #isOver = false;

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

  /** Forwards until the end; leaves the terminal as it was. */
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
      const result = { end, lastByte: this.#lastByte, status: this.#status };
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

  /** The machine has ended: the next hang-up ends the session, and the wait for it is short. */
  expectHangup(): void {
    this.#mayHangUp = true;
    setTimeout(() => this.#finish("hangup"), LAST_WORDS_MS).unref();
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

  #pump(): void {
    try {
      this.#move();
    } catch (error) {
      this.#isOver = true;
      this.#finished.reject(error);
    }
  }

  /** Moves bytes both ways while any will move. */
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

  #planTurn(): void {
    if (this.#turnIsPlanned) return;
    this.#turnIsPlanned = true;
    setImmediate(() => {
      this.#turnIsPlanned = false;
      this.#pump();
    });
  }

  /** Copies once from the terminal to standard output; returns false if there is nothing to copy. */
  #print(): boolean {
    if (this.#printing.length > 0 && !this.#write()) return false;
    if (this.#printing.length > 0) return true;
    const bytes = this.#readMaster();
    if (bytes !== null) {
      this.#printing = bytes;
      return true;
    }
    if (this.#hasHungUp && (this.#mayHangUp || this.#input.isOver)) this.#finish("hangup");
    return false;
  }

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

  #write(): boolean {
    try {
      const count = writeSome(this.#stdout.fd, this.#printing);
      if (count <= 0) return false;
      this.#lastByte = this.#printing[count - 1] ?? null;
      this.#printing = this.#printing.subarray(count);
      return true;
    } catch (error) {
      // The reader has closed the pipe, or the disk is full: the session ends.
      if (!isErrno(error, "EPIPE", "EIO", "ENOSPC", "ECONNRESET", "EBADF")) throw error;
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
