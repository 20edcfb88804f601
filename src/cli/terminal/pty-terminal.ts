// The caller's terminal during a session: puts it into raw mode, passes its size on, and restores it at the end of the
// session, however that ends.
import { copyStandard, type Fd, statFd } from "../../kernel/file/fd.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import {
  getWindowSize,
  isTerminal,
  makeRaw,
  restoreTerminal,
  SIZE_MAX,
  setWindowSize,
  type TerminalSettings,
  type WindowSize,
} from "../../kernel/terminal/pty.ts";
import { makeOutputRaw } from "../../kernel/terminal/state.ts";
import type { Environment } from "../format/terminal.ts";

const DEFAULT_SIZE: WindowSize = { rows: 24, columns: 80 };

/** The terminals on standard input and output: none, one on either or both, or two different ones. */
export class OwnTerminal implements Disposable {
  readonly #input: Fd | null;
  readonly #output: Fd | null;
  readonly #env: Environment;
  #saved: (() => void)[] = [];

  /** Owns both descriptors; those that are no terminal are closed at once. */
  constructor(input: Fd, output: Fd, env: Environment) {
    this.#input = terminalOrNothing(input);
    this.#output = terminalOrNothing(output);
    this.#env = env;
  }

  /** Whether standard input is a terminal. */
  get hasInput(): boolean {
    return this.#input !== null;
  }

  /** Switches to raw mode. If input and output are different terminals, only that direction of each is changed. */
  makeRaw(): void {
    if (this.#saved.length > 0) return;
    const [input, output] = [this.#input, this.#output];
    const isOne = input !== null && output !== null && isSameTerminal(input, output);
    if (input !== null) this.#save(input, makeRaw(input, isOne ? "raw" : "keep-output"));
    if (output !== null && !isOne) this.#save(output, makeOutputRaw(output));
  }

  #save(terminal: Fd, settings: TerminalSettings): void {
    this.#saved.push(() => {
      try {
        restoreTerminal(terminal, settings);
      } catch (error) {
        // The terminal has hung up.
        if (!isErrno(error, "EIO", "ENOTTY")) throw error;
      }
    });
  }

  /** Restores the settings from before makeRaw(). May be called several times. */
  restore(): void {
    const steps = this.#saved;
    this.#saved = [];
    for (const step of steps.reverse()) step();
  }

  /** The size for the machine's terminal: that of the caller's terminal, else $LINES and $COLUMNS, else 24 by 80. */
  get size(): WindowSize {
    const size = this.#output === null ? null : sizeOf(this.#output);
    if (size !== null && size.rows > 0 && size.columns > 0) return size;
    return {
      rows: positive(this.#env["LINES"]) ?? DEFAULT_SIZE.rows,
      columns: positive(this.#env["COLUMNS"]) ?? DEFAULT_SIZE.columns,
    };
  }

  /** Sets the size of the terminal of `master`; does nothing after a hang-up. */
  passSize(master: Fd): void {
    try {
      setWindowSize(master, this.size);
    } catch (error) {
      if (!isErrno(error, "EIO", "ENOTTY")) throw error;
    }
  }

  [Symbol.dispose](): void {
    this.restore();
    this.#input?.close();
    this.#output?.close();
  }
}

/** Returns the present size for a terminal of a machine, see OwnTerminal.size. */
export function ownSize(env: Environment): WindowSize {
  using terminal = new OwnTerminal(copyStandard(0), copyStandard(1), env);
  return terminal.size;
}

/** Whether both are the same device: terminals of two devpts or of two drivers may have the same minor number. */
function isSameTerminal(one: Fd, other: Fd): boolean {
  const [a, b] = [statFd(one), statFd(other)];
  return a.dev === b.dev && a.rdev.major === b.rdev.major && a.rdev.minor === b.rdev.minor;
}

/** Returns the descriptor if it is a terminal; otherwise closes it and returns null. */
function terminalOrNothing(fd: Fd): Fd | null {
  if (isTerminal(fd)) return fd;
  fd.close();
  return null;
}

function sizeOf(terminal: Fd): WindowSize | null {
  try {
    return getWindowSize(terminal);
  } catch (error) {
    if (isErrno(error, "EIO", "ENOTTY")) return null;
    throw error;
  }
}

function positive(text: string | undefined): number | undefined {
  const number = /^\d+$/.test(text ?? "") ? Number(text) : 0;
  return number > 0 && number <= SIZE_MAX ? number : undefined;
}
