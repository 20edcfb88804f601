// Our own terminal during a session: raw, as big as it is, and afterwards as it was, however the session ends.
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
import { makeOutputRaw } from "../../kernel/terminal/terminal-state.ts";
import type { Environment } from "../format/terminal.ts";

const DEFAULT_SIZE: WindowSize = { rows: 24, columns: 80 };

/** The terminal on standard input and output: none, one, or one on each. */
export class OwnTerminal implements Disposable {
  readonly #input: Fd | null;
  readonly #output: Fd | null;
  readonly #env: Environment;
  #saved: (() => void)[] = [];

  /** Takes two descriptors to look at and closes them at the end. */
  constructor(input: Fd, output: Fd, env: Environment) {
    this.#input = terminalOrNothing(input);
    this.#output = terminalOrNothing(output);
    this.#env = env;
  }

  get hasInput(): boolean {
    return this.#input !== null;
  }

  /** Lets every byte pass. Where input and output are different terminals each is changed in its own direction only. */
  makeRaw(): void {
    if (this.#saved.length > 0) return;
    const [input, output] = [this.#input, this.#output];
    const isOne = input !== null && output !== null && statFd(input).rdev.minor === statFd(output).rdev.minor;
    if (input !== null) this.#save(input, makeRaw(input, isOne ? "raw" : "keep-output"));
    if (output !== null && !isOne) this.#save(output, makeOutputRaw(output));
  }

  #save(terminal: Fd, settings: TerminalSettings): void {
    this.#saved.push(() => {
      try {
        restoreTerminal(terminal, settings);
      } catch (error) {
        // Hung up: there is nothing left to restore.
        if (!isErrno(error, "EIO", "ENOTTY")) throw error;
      }
    });
  }

  /** Puts everything back; harmless to repeat. */
  restore(): void {
    const steps = this.#saved;
    this.#saved = [];
    for (const step of steps.reverse()) step();
  }

  /** How big the other terminal should be: as ours, else as the environment says. */
  get size(): WindowSize {
    const size = this.#output === null ? null : sizeOf(this.#output);
    if (size !== null && size.rows > 0 && size.columns > 0) return size;
    return {
      rows: positive(this.#env["LINES"]) ?? DEFAULT_SIZE.rows,
      columns: positive(this.#env["COLUMNS"]) ?? DEFAULT_SIZE.columns,
    };
  }

  /** Makes the terminal behind `master` as big as ours. */
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

/** The size that a terminal of a machine should have now. */
export function ownSize(env: Environment): WindowSize {
  using terminal = new OwnTerminal(copyStandard(0), copyStandard(1), env);
  return terminal.size;
}

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
