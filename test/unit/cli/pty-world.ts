// Both ends of a session: the user's terminal, and the terminal on which the program runs.
import { join } from "node:path";
import type { Subprocess } from "bun";
import { readSome, writeSome } from "../../../src/kernel/file/byte-io.ts";
import type { Fd } from "../../../src/kernel/file/fd.ts";
import { openPty, openPtyPeer, setWindowSize, terminalSettings } from "../../../src/kernel/terminal/pty.ts";
import { waitFor } from "../../lib/wait-for.ts";

const CLIENT = join(import.meta.dir, "pty-client.ts");

interface SessionChoices {
  /** Standard input and output of the client; the terminal by default. */
  readonly stdin?: "terminal" | Blob | ReadableStream | "ignore" | number | "pipe";
  readonly stdout?: "terminal" | "pipe" | number;
  readonly env?: Readonly<Record<string, string>>;
  readonly size?: { readonly rows: number; readonly columns: number };
  /** A command line that runs the client. */
  readonly by?: readonly string[];
  /** A program for the other terminal; without it, the test reads and writes `program` itself. */
  readonly run?: readonly string[];
  /** The program's terminal does not echo, already before the program runs. */
  readonly isSilent?: true;
  /** A second program will open the terminal after the first. */
  readonly isShared?: true;
}

export class PtyWorld implements AsyncDisposable {
  /** The master of the user's terminal. */
  readonly seat: Fd;
  readonly own: Fd;
  /** The program's terminal; closed when a real program runs. */
  program: Fd;
  readonly child: Subprocess;
  readonly #inside: Subprocess | null;
  /** Kept open for the second program. */
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
    if (choices.isSilent) Bun.spawnSync(["stty", "-echo"], { stdin: this.program.number });
    const input = choices.stdin ?? "terminal";
    const output = choices.stdout ?? "terminal";
    this.child = Bun.spawn([...(choices.by ?? []), process.execPath, CLIENT, ...args], {
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

  /** Types a text on the user's terminal. */
  type(text: string): void {
    writeSome(this.seat, Buffer.from(text, "latin1"));
  }

  /** Prints a text as the program. */
  print(text: string): void {
    writeSome(this.program, Buffer.from(text, "latin1"));
  }

  /** The output that the user's terminal has received so far. */
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

  /** Waits until the program has received `count` bytes, and returns all that it received. */
  async received(count: number): Promise<string> {
    let text = "";
    await waitFor(() => {
      text += readSome(this.program)?.toString("latin1") ?? "";
      if (text.length < count) throw new Error(`only ${JSON.stringify(text)}`);
    }, "the program's input");
    return text;
  }

  /** The settings of the user's terminal. */
  get settings(): string {
    return terminalSettings(this.own).settings.toString("hex");
  }

  /** The program closes the terminal, and another one opens it. */
  replaceProgram(): void {
    this.program.close();
    if (this.#master === null) throw new Error("not shared");
    this.program = openPtyPeer(this.#master);
  }

  /** The program closes the terminal; returns the client's exit code. */
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
