// `machinectl top`: shows the resource usage of machines on the whole screen, redrawn each second. Keys select the sort
// order and the page of one machine.

import { readSome } from "../../kernel/file/byte-io.ts";
import { Fd } from "../../kernel/file/fd.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import type { Stats } from "../../stats/rates.ts";
import { own } from "../format/own-sequence.ts";
import { drawTree } from "../format/process-tree.ts";
import { isDumb } from "../format/terminal.ts";
import { type MachineFacts, machineDetails, machineFacts } from "../machine/details.ts";
import { unitJournal } from "../machine/journal.ts";
import { Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { StandardStream } from "../terminal/pty-stream.ts";
import { OwnTerminal } from "../terminal/pty-terminal.ts";
import { MeasuredMachines } from "./machines.ts";
import { type History, machineScreen, ORDERS, type Order, ordered, tableScreen, type View } from "./screen.ts";

// Without automatic wrapping: a line of details that is too long ends at the edge, and does not scroll the screen.
const ALTERNATE_SCREEN = own("\u001b[?1049h\u001b[?25l\u001b[?7l");
const NORMAL_SCREEN = own("\u001b[?7h\u001b[?25h\u001b[?1049l");
const HOME = own("\u001b[H");
const CLEAR_LINE = own("\u001b[K");
const CLEAR_BELOW = own("\u001b[J");
const RETURN = own("\r");
const HISTORY_SECONDS = 60;

/** A History that is still written. */
interface MutableHistory {
  readonly cpuPercent: number[];
  readonly memoryBytes: number[];
}

/** One run of the verb. */
class Top {
  readonly #session: Session;
  readonly #machines: MeasuredMachines;
  readonly #terminal: OwnTerminal;
  readonly #histories = new Map<string, MutableHistory>();
  readonly #finished = Promise.withResolvers<void>();
  #stats: Stats[] = [];
  #isMeasuring = false;
  /** Whether the usual screen is shown again. */
  #isOver = false;
  #order: Order = "c";
  #selected: string | null = null;
  /** The machine whose page is shown; null for the table. */
  #open: string | null = null;
  /** The addresses and processes on that page. */
  #details: readonly string[] = [];
  /** The last log on that page. */
  #log: readonly string[] = [];
  #isReadingLog = false;

  constructor(session: Session, machines: MeasuredMachines, terminal: OwnTerminal) {
    this.#session = session;
    this.#machines = machines;
    this.#terminal = terminal;
  }

  /** Runs until the key `q` or a signal; then restores the screen and the terminal. */
  async run(): Promise<void> {
    using input = StandardStream.open(0);
    const end = () => this.#finished.resolve();
    const handlers: readonly (readonly [NodeJS.Signals, () => void])[] = [
      ...(["SIGINT", "SIGTERM", "SIGHUP"] as const).map((signal) => [signal, end] as const),
      ["SIGWINCH", () => this.#draw()],
      ["SIGTSTP", () => this.#pause()],
      ["SIGCONT", () => this.#resume()],
    ];
    // Before the terminal is changed: a signal would leave it so.
    for (const [signal, handler] of handlers) process.on(signal, handler);
    this.#terminal.makeRaw();
    this.#session.output.write(ALTERNATE_SCREEN);
    input.watch({ read: true }, () => this.#read(input.fd));
    const tick = () => void this.#tick().catch((error) => this.#finished.reject(error));
    const timer = setInterval(tick, 1000);
    try {
      // The first answer of a silent manager is not waited for by a user who has seen enough.
      await Promise.race([this.#tick(), this.#finished.promise]);
      await this.#finished.promise;
    } finally {
      this.#isOver = true;
      clearInterval(timer);
      for (const [signal, handler] of handlers) process.off(signal, handler);
      this.#session.output.write(NORMAL_SCREEN);
      this.#terminal.restore();
    }
  }

  /** Stops this process, as SIGTSTP does; the user's other programs get the usual screen and terminal. */
  #pause(): void {
    this.#session.output.write(NORMAL_SCREEN);
    this.#terminal.restore();
    process.kill(process.pid, "SIGSTOP");
  }

  /** After SIGCONT: other programs may have changed the terminal and its screen while this one was stopped. */
  #resume(): void {
    this.#terminal.restore();
    this.#terminal.makeRaw();
    this.#session.output.write(ALTERNATE_SCREEN);
    this.#draw();
  }

  /** Measures all machines and redraws, unless the last measurement still waits for the manager. */
  async #tick(): Promise<void> {
    if (this.#isMeasuring) return;
    this.#isMeasuring = true;
    try {
      await this.#measure();
      if (this.#open !== null) await this.#queryDetails(this.#open);
    } finally {
      this.#isMeasuring = false;
    }
    this.#draw();
  }

  async #measure(): Promise<void> {
    await this.#machines.refresh();
    if (this.#isOver) return;
    this.#stats = this.#machines.read();
    for (const { machine, cpuPercent, memoryBytes } of this.#stats) {
      const history = this.#histories.get(machine) ?? { cpuPercent: [], memoryBytes: [] };
      this.#histories.set(machine, history);
      for (const [list, value] of [
        [history.cpuPercent, cpuPercent],
        [history.memoryBytes, memoryBytes],
      ] as const) {
        list.push(value ?? 0);
        if (list.length > HISTORY_SECONDS) list.shift();
      }
    }
    for (const name of this.#histories.keys()) {
      if (!this.#stats.some(({ machine }) => machine === name)) this.#histories.delete(name);
    }
  }

  /**
   * Queries the addresses and processes of the machine whose page is shown. If it has ended, goes back to the table.
   * Does nothing where the page of another machine, or the table, is shown by then.
   */
  async #queryDetails(machine: string): Promise<void> {
    try {
      const facts = await machineFacts(this.#session, machine);
      const details = await machineDetails(this.#session, facts);
      const addresses = details.addresses.map(({ text }) => text).join(" ");
      const tree =
        details.processes === null
          ? ""
          : drawTree(details.processes, { terminal: this.#session.terminal, prefix: "  ", width: null });
      if (this.#open !== machine) return;
      void this.#readLog(machine, facts);
      this.#details = [`${"ADDRESS".padStart(10)}  ${addresses || "-"}`, "", ...tree.trimEnd().split("\n")];
    } catch {
      if (this.#open === machine) this.#open = null;
    }
  }

  /**
   * Reads the last entries about the machine's unit, unless the last reading still takes time: measurements do not wait
   * for journalctl. What the caller may not read is left out.
   */
  async #readLog(machine: string, facts: MachineFacts): Promise<void> {
    if (this.#isReadingLog) return;
    this.#isReadingLog = true;
    try {
      const text = await unitJournal(this.#session, facts);
      if (this.#open === machine) this.#log = text.split("\n").filter((line) => line !== "");
    } catch {
      if (this.#open === machine) this.#log = [];
    } finally {
      this.#isReadingLog = false;
    }
  }

  #view(): View {
    const { rows, columns } = this.#terminal.size;
    const histories: ReadonlyMap<string, History> = this.#histories;
    const { terminal } = this.#session;
    return { stats: this.#stats, histories, order: this.#order, selected: this.#selected, rows, columns, terminal };
  }

  #draw(): void {
    if (this.#isOver) return;
    const view = this.#view();
    const one = this.#stats.find(({ machine }) => machine === this.#open);
    const lines =
      one === undefined ? tableScreen(view) : machineScreen(view, one, { lines: this.#details, log: this.#log });
    const text = lines.map((line) => line + CLEAR_LINE).join(`${RETURN}\n`);
    this.#session.output.write(HOME + text + CLEAR_BELOW);
  }

  /** Reads and handles all keys that have been typed. The end of input, or the terminal's hang-up, ends the verb. */
  #read(input: Fd): void {
    for (let bytes = readKeys(input); bytes !== null; bytes = readKeys(input)) {
      if (bytes.length === 0) {
        this.#finished.resolve();
        return;
      }
      for (const key of keysOf(bytes.toString("latin1"))) this.#press(key);
    }
    this.#draw();
  }

  #press(key: string): void {
    if (key === "q" || key === "\u0003") this.#finished.resolve();
    else if (Object.hasOwn(ORDERS, key)) this.#order = key as Order;
    else if (key === "\u001b[A") this.#move(-1);
    else if (key === "\u001b[B") this.#move(1);
    else if (key === "\u001b") this.#open = null;
    else if (key === "\r" || key === "\n") {
      this.#selected ??= ordered(this.#stats, this.#order)[0]?.machine ?? null;
      if (this.#open !== this.#selected) [this.#details, this.#log] = [[], []];
      this.#open = this.#selected;
      if (this.#open !== null) void this.#queryDetails(this.#open).then(() => this.#draw());
    }
  }

  /** Moves the selection by one line; without a selection, selects the first line. */
  #move(step: 1 | -1): void {
    const names = ordered(this.#stats, this.#order).map(({ machine }) => machine);
    const at = this.#selected === null ? (step > 0 ? -1 : 0) : names.indexOf(this.#selected);
    this.#selected = names[Math.min(Math.max(at + step, 0), names.length - 1)] ?? null;
  }
}

/** As readSome(): a terminal that has hung up is at its end. */
function readKeys(input: Fd): Buffer | null {
  try {
    return readSome(input);
  } catch (error) {
    if (isErrno(error, "EIO")) return Buffer.alloc(0);
    throw error;
  }
}

const ARROW_LENGTH = 3;

/** Splits typed input into keys; an arrow key sends three characters. */
function keysOf(typed: string): string[] {
  const keys: string[] = [];
  for (let at = 0; at < typed.length; ) {
    const length = typed.startsWith("\u001b[", at) ? ARROW_LENGTH : 1;
    keys.push(typed.slice(at, at + length));
    at += length;
  }
  return keys;
}

/** The verb `top`. */
export async function top(session: Session, names: readonly string[]): Promise<number> {
  if (session.terminal.stdoutIsTty && isDumb(session.ports.env)) {
    throw new Failure(
      "top needs a terminal with a cursor, and TERM names none; 'machinectl stats' prints the same numbers",
    );
  }
  using terminal = new OwnTerminal(Fd.adopt(0).duplicate(), Fd.adopt(1).duplicate(), session.ports.env);
  if (!terminal.hasInput || !session.terminal.stdoutIsTty) {
    throw new Failure("top needs a terminal; 'machinectl stats' prints the same numbers to files and pipes");
  }
  using machines = new MeasuredMachines(session, names);
  await new Top(session, machines, terminal).run();
  return 0;
}
