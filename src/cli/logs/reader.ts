// One journalctl whose output is ours: printed as it comes, without control characters of the machine.
import { own, withColours } from "../format/own-sequence.ts";
import type { Session } from "../session/session.ts";
import type { Invocation } from "./invocation.ts";
import { EntryFilter, type OverlapFilter, RecentLines, SequenceFilter } from "./overlap.ts";

/** A longer line is printed in pieces. */
const LINE_LIMIT = 64 << 10;
const RECORD_SEPARATOR = "\u001e";

/** Prints what comes line by line; `print` takes whole lines. */
async function copyText(stream: ReadableStream<Uint8Array>, print: (text: string) => void): Promise<void> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of stream) {
    const text = rest + decoder.decode(chunk, { stream: true });
    const end = text.lastIndexOf("\n") + 1;
    rest = text.slice(end);
    if (end > 0) print(text.slice(0, end));
    if (rest.length > LINE_LIMIT) {
      print(rest);
      rest = "";
    }
  }
  if (rest !== "") print(rest);
}

/** The output mode that is for programs, byte by byte. */
const RAW_MODE = "export";
/** Modes in which an entry may look different in another reading, or is no line of text. */
const UNCOMPARABLE_MODES = [RAW_MODE, "short-delta", "json-pretty"];
/** Modes in which different entries may look the same. */
const REPETITIVE_MODES = ["cat", "verbose"];
/**
 * The order of the fields of an entry in JSON is another one in each reading; and an entry gets another number, in another file,
 * when the journal of a boot is moved to the disk. Boot, times and content of a cursor stay.
 */
const CURSOR = /"__CURSOR":"(?:s=[^;"]*;i=[^;"]*;)?([^"]*)"/;

/** What is the same of a line in every reading. */
function keyOf(line: string): string {
  return CURSOR.exec(line)?.[1] ?? line;
}

/** The lines of a text, with their ends. */
function linesOf(text: string): string[] {
  return text.split(/(?<=\n)/);
}

/** journalctl while it runs. */
export class JournalReader {
  /** Its exit status, 128 and more for a signal, once all of its output is printed. */
  readonly ended: Promise<number>;
  readonly #session: Session;
  readonly #child: Bun.Subprocess;
  readonly #recent: RecentLines;
  readonly #filter: OverlapFilter;
  readonly #isComparable: boolean;
  readonly #hasColours: boolean;
  /** When something was last printed, µs. */
  #lastUsec: number;

  /** `before` is an interrupted reading that this one goes on with. */
  constructor(
    session: Session,
    { command, argv0, isForeign = false, fds = [], started }: Invocation,
    mode: string,
    before: JournalReader | null,
  ) {
    this.#session = session;
    this.#isComparable = !UNCOMPARABLE_MODES.includes(mode);
    this.#lastUsec = before === null ? Number(session.ports.nowUsec()) : before.#lastUsec;
    this.#recent = before === null ? new RecentLines(this.#lastUsec) : before.#recent;
    const printed = this.#isComparable && before !== null ? this.#recent.lines : [];
    this.#filter = REPETITIVE_MODES.includes(mode) ? new SequenceFilter(printed) : new EntryFilter(printed, keyOf);
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

  /** Where a reading begins that goes on with this one, µs. */
  get resumeUsec(): number {
    return this.#isComparable ? this.#recent.resumeUsec : this.#lastUsec;
  }

  /** Ends journalctl, if it still runs. */
  end(): void {
    this.#child.kill("SIGTERM");
  }

  async #run(isRaw: boolean): Promise<number> {
    const { output, ports } = this.#session;
    const [stdout, stderr] = [this.#child.stdout, this.#child.stderr] as ReadableStream<Uint8Array>[];
    if (stdout === undefined || stderr === undefined) return 1;
    const noted = () => {
      this.#lastUsec = Number(ports.nowUsec());
      // The reader of our output went away: nobody wants the rest.
      if (output.isOver) this.end();
    };
    const show = (lines: readonly string[]) => {
      const separated = lines.join("").replaceAll(RECORD_SEPARATOR, own(RECORD_SEPARATOR));
      output.write(this.#hasColours ? withColours(separated) : separated);
      noted();
      if (this.#isComparable) this.#recent.add(lines.map(keyOf), this.#lastUsec);
    };
    const copyLines = async () => {
      await copyText(stdout, (text) => show(this.#filter.take(linesOf(text))));
      show(this.#filter.finish());
    };
    const copyRaw = async () => {
      for await (const chunk of stdout) {
        output.writeBytes(chunk);
        noted();
      }
    };
    await Promise.all([isRaw ? copyRaw() : copyLines(), copyText(stderr, (text) => output.writeError(text))]);
    return this.#child.exited;
  }
}
