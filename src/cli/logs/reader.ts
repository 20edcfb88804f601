// Runs journalctl and prints its output line by line, without control characters from the machine.
import { withColours, withSeparators } from "../format/own-sequence.ts";
import { linesOf, readLines } from "../local/read-text.ts";
import type { Session } from "../session/session.ts";
import type { Invocation } from "./invocation.ts";
import { EntryFilter, LastBoot, type OverlapFilter, RecentLines, SequenceFilter } from "./overlap.ts";

/** The output mode whose bytes are written unchanged, for programs. */
const RAW_MODE = "export";
/** Modes in which the text of an entry differs between two runs, or has several lines. */
const UNCOMPARABLE_MODES = [RAW_MODE, "short-delta", "json-pretty"];
/** Modes in which different entries can have the same text. */
const REPETITIVE_MODES = ["cat", "verbose"];
/**
 * The part of a cursor that identifies an entry: boot, times and content. File and number in the file, which are
 * skipped, change when the journal of a boot is moved to the disk. The line cannot identify a JSON entry, because the
 * order of fields varies.
 */
const CURSOR = /"__CURSOR":"(?:s=[^;"]*;i=[^;"]*;)?([^"]*)"/;

/** Returns the part of a line that is the same in every run. */
function keyOf(line: string): string {
  return CURSOR.exec(line)?.[1] ?? line;
}

/** How much of the errors is kept back, in UTF-16 code units. */
const KEPT_ERRORS = 16 * 1024;

/** How a run continues another one. */
export interface Continuation {
  /** The run before, which was interrupted, if this one continues it. */
  readonly before: JournalReader | null;
  /** Whether it runs with --follow, and so reads only the current boot. */
  readonly follows: boolean;
  /** Whether the machine was started since `before`. */
  readonly isNewStart: boolean;
}

interface ReaderOptions extends Continuation {
  readonly keepsErrors: boolean;
}

/** One run of journalctl. */
export class JournalReader {
  /** Resolves to its exit status, 128 plus the number of a signal, when all of its output has been printed. */
  readonly ended: Promise<number>;
  readonly #session: Session;
  readonly #child: Bun.Subprocess;
  readonly #recent: RecentLines;
  /** What was printed of the last boot since the machine was started; null for runs that follow, and before a start. */
  readonly #lastBoot: LastBoot | null;
  readonly #filter: OverlapFilter;
  readonly #isComparable: boolean;
  readonly #hasColours: boolean;
  /** When something was last printed, in µs since 1970. */
  #lastUsec: number;
  /** What was written to standard error and is kept back; null where it is printed at once. */
  #keptErrors: string | null;

  /**
   * Starts the program; `before` is the interrupted run that this one continues, if any. With `keepsErrors`, what the
   * program writes to standard error before its first output is printed by printErrors() only.
   */
  constructor(
    session: Session,
    { command, argv0, isForeign = false, fds = [], started }: Invocation,
    mode: string,
    { before, follows, isNewStart, keepsErrors }: ReaderOptions,
  ) {
    this.#session = session;
    this.#keptErrors = keepsErrors ? "" : null;
    this.#isComparable = !UNCOMPARABLE_MODES.includes(mode);
    this.#lastUsec = before === null ? Number(session.ports.nowUsec()) : before.#lastUsec;
    this.#recent = before === null ? new RecentLines(this.#lastUsec) : before.#recent;
    const isRepetitive = REPETITIVE_MODES.includes(mode);
    const continued = before === null ? null : before.#lastBoot;
    this.#lastBoot = follows || isRepetitive ? null : isNewStart ? new LastBoot() : continued;
    const lastBoot = follows && before !== null ? before.#lastBoot : null;
    const printed = this.#isComparable && before !== null ? (lastBoot ?? this.#recent).lines : [];
    this.#filter = isRepetitive ? new SequenceFilter(printed) : new EntryFilter(printed, keyOf);
    const { terminal } = session;
    this.#hasColours = !isForeign && terminal.colors !== "off";
    const colours = this.#hasColours ? terminal.colors : "0";
    this.#child = Bun.spawn([...command], {
      ...(argv0 === undefined ? {} : { argv0 }),
      stdio: ["ignore", "pipe", "pipe", ...fds] as ["ignore", "pipe", "pipe"],
      env: { ...process.env, SYSTEMD_COLORS: colours, SYSTEMD_URLIFY: "0" },
    });
    started?.();
    this.ended = this.#run(mode === RAW_MODE && !terminal.stdoutIsTty);
  }

  /** The time at which a run that continues this one must begin, in µs since 1970. */
  get resumeUsec(): number {
    return this.#isComparable ? this.#recent.resumeUsec : this.#lastUsec;
  }

  /** Terminates journalctl, if it still runs. */
  end(): void {
    this.#child.kill("SIGTERM");
  }

  /** Prints the errors that were kept back, and from now on each one at once. */
  printErrors(): void {
    const kept = this.#keptErrors;
    this.#keptErrors = null;
    if (kept !== null && kept !== "") this.#session.output.writeError(kept);
  }

  #takeErrors(text: string): void {
    if (this.#keptErrors === null) {
      this.#session.output.writeError(text);
      return;
    }
    this.#keptErrors += text;
    if (this.#keptErrors.length > KEPT_ERRORS) this.printErrors();
  }

  async #run(isRaw: boolean): Promise<number> {
    const { output, ports } = this.#session;
    const [stdout, stderr] = [this.#child.stdout, this.#child.stderr] as ReadableStream<Uint8Array>[];
    if (stdout === undefined || stderr === undefined) return 1;
    const noted = () => {
      this.#lastUsec = Number(ports.nowUsec());
      // Standard output was closed, so that further lines would be dropped.
      if (output.isOver) this.end();
    };
    const show = (lines: readonly string[]) => {
      const separated = withSeparators(lines.join(""));
      output.write(this.#hasColours ? withColours(separated) : separated);
      noted();
      if (this.#isComparable) this.#recent.add(lines.map(keyOf), this.#lastUsec);
    };
    const copyLines = async () => {
      await readLines(stdout, (text) => {
        this.printErrors();
        const lines = this.#filter.take(linesOf(text));
        this.#lastBoot?.add(lines.map(keyOf));
        show(lines);
        return output.drained();
      });
      show(this.#filter.finish());
    };
    const copyRaw = async () => {
      for await (const chunk of stdout) {
        this.printErrors();
        output.writeBytes(chunk);
        noted();
      }
    };
    await Promise.all([isRaw ? copyRaw() : copyLines(), readLines(stderr, (text) => this.#takeErrors(text))]);
    return this.#child.exited;
  }
}
