// Both ends of a session: the terminal on which somebody sits, and the terminal on which the program runs.
import { join } from "node:path";
import type { Subprocess } from "bun";
import { readSome, writeSome } from "../../../src/kernel/file/byte-io.ts";
import type { Fd } from "../../../src/kernel/file/fd.ts";
import { openPty, openPtyPeer, setWindowSize, terminalSettings } from "../../../src/kernel/terminal/pty.ts";
import { waitFor } from "../../lib/wait-for.ts";

const CLIENT = join(import.meta.dir, "pty-client.ts");

interface SessionChoices {
  /** Where standard input and output are: the terminal unless told otherwise. */
  readonly stdin?: "terminal" | Blob | ReadableStream | "ignore" | number | "pipe";
  readonly stdout?: "terminal" | "pipe" | number;
  readonly env?: Readonly<Record<string, string>>;
  readonly size?: { readonly rows: number; readonly columns: number };
  /** A program for the other terminal; without, the test plays it on `program`. */
  readonly run?: readonly string[];
  /** The terminal will be taken over by a second program. */
  readonly isShared?: true;
}

export class PtyWorld implements AsyncDisposable {
  /** The master of the terminal somebody sits at. */
  readonly seat: Fd;
  readonly own: Fd;
  /** The terminal the program has; closed when a real program runs. */
  program: Fd;
  readonly child: Subprocess;
  readonly #inside: Subprocess | null;
  /** Kept for a program that takes the terminal over from the first. */
  readonly #master: Fd | null;
  #screen = "";

  constructor(args: readonly string[], choices: SessionChoices = {}) {
    const seat = openPty();
    this.seat = seat.master;
    this.own = openPtyPeer(seat.master);
    setWindowSize(this.seat, choices.size ?? { rows: 30, columns: 90 });
    const { master } = openPty();
    this.#master = choices.isShared ? master.duplicate() : null;
    this.program = openPtyPeer(master);
    const input = choices.stdin ?? "terminal";
    const output = choices.stdout ?? "terminal";
    this.child = Bun.spawn([process.execPath, CLIENT, ...args], {
      env: { PATH: process.env["PATH"] ?? "", TERM: "vt220", LC_ALL: "C.UTF-8", ...choices.env },
      // The fourth is descriptor 3.
      stdio: [
        (input === "terminal" ? this.own.number : input) as number,
        output === "terminal" ? this.own.number : output,
        output === "terminal" ? this.own.number : "pipe",
        master.number,
      ],
    });
    master.close();
    this.#inside =
      choices.run === undefined
        ? null
        : Bun.spawn(["setsid", "--ctty", ...choices.run], {
            stdio: [this.program.number, this.program.number, this.program.number],
          });
    if (this.#inside !== null) this.program.close();
  }

  /** What somebody at the terminal types. */
  type(text: string): void {
    writeSome(this.seat, Buffer.from(text, "latin1"));
  }

  /** What the program prints. */
  print(text: string): void {
    writeSome(this.program, Buffer.from(text, "latin1"));
  }

  /** All that the terminal showed so far. */
  get screen(): string {
    for (;;) {
      try {
        const bytes = readSome(this.seat);
        if (bytes === null || bytes.length === 0) return this.#screen;
        this.#screen += bytes.toString("latin1");
      } catch {
        return this.#screen; // hung up
      }
    }
  }

  shows(text: string): Promise<void> {
    return waitFor(() => {
      if (!this.screen.includes(text)) throw new Error(`${JSON.stringify(this.screen)} lacks ${JSON.stringify(text)}`);
    }, "the terminal");
  }

  /** Waits until the program has been given `count` bytes, and returns all it has. */
  async received(count: number): Promise<string> {
    let text = "";
    await waitFor(() => {
      text += readSome(this.program)?.toString("latin1") ?? "";
      if (text.length < count) throw new Error(`only ${JSON.stringify(text)}`);
    }, "the program's input");
    return text;
  }

  /** The settings of the terminal somebody sits at. */
  get settings(): string {
    return terminalSettings(this.own).settings.toString("hex");
  }

  /** The program hangs up, and another takes over the terminal. */
  replaceProgram(): void {
    this.program.close();
    if (this.#master === null) throw new Error("not shared");
    this.program = openPtyPeer(this.#master);
  }

  /** The program hangs up; returns the client's exit code. */
  async hangUp(): Promise<number> {
    this.program.close();
    return this.child.exited;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGKILL");
    this.#inside?.kill("SIGKILL");
    await this.child.exited;
    for (const fd of [this.program, this.own, this.seat, this.#master]) fd?.close();
  }
}
