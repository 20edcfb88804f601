// Shows the progress of a transfer. On a terminal: one bar below the lines of the log, redrawn when the terminal is
// resized; the escape sequence OSC 9;4 reports the progress to the terminal, which may show it in a task bar or tab.
// Elsewhere: the progress lines of the log, one for each ten percent.
import { displayWidth } from "../../base/text/format.ts";
import { own } from "../format/own-sequence.ts";
import { isDumb } from "../format/terminal.ts";
import type { Session } from "../session/session.ts";

const PREFIX = "Total: ";
const GREEN = own("\u001b[0;1;32m");
const TO_LINE_END = own("\u001b[K");
const TO_SCREEN_END = own("\u001b[J");
const RETURN = own("\r");
/** Removes the progress from the task bar. */
const NO_PROGRESS = own("\u001b]9;4;0;\u001b\\");
/**
 * The columns for a blank, the percentage, and one that stays free, because a character in the last column wraps the
 * line.
 */
const RIGHT_WIDTH = 6;

/** The log lines by which workers, also those of the original, report progress: `Got 10% of …. 2min left at 1M/s.` */
const PROGRESS_LINE = /^(?:Got|Sent|Imported|Exported) (\d{1,3})%(?: of .*?)?\.(?: (\S.{0,30} left at \S{1,20})\.)?$/;

const PERCENT_OF_TENTH = 10;
/** The smallest width of a bar; time left and rate are omitted if there is no room for them besides it. */
const LEAST_BAR = 20;

/** The progress of one transfer. */
export class ProgressBar {
  readonly #session: Session;
  readonly #isShown: boolean;
  readonly #stopListening: () => void;
  #isDrawn = false;
  #percent = 0;
  /** The largest multiple of ten percent that a log line has reported, divided by ten; -1 before the first. */
  #tenth = -1;
  /** Time left and rate, as text from the worker. */
  #detail = "";

  constructor(session: Session) {
    const { terminal, settings, ports } = session;
    this.#session = session;
    this.#isShown = terminal.stderrIsTty && !isDumb(ports.env) && !settings.quiet;
    this.#stopListening = this.#isShown ? ports.onResize(() => this.#resized()) : () => {};
  }

  /**
   * Handles a log line if it reports progress. Returns true if the caller must not print it: because the bar shows it,
   * or a line for the same ten percent was printed before.
   */
  absorbs(line: string): boolean {
    const match = PROGRESS_LINE.exec(line);
    if (match === null) return false;
    const [, percent, detail = ""] = match;
    this.#detail = detail;
    const tenth = Math.floor(Number(percent) / PERCENT_OF_TENTH);
    const isKnown = this.#isShown || tenth <= this.#tenth;
    this.#tenth = Math.max(tenth, this.#tenth);
    return isKnown;
  }

  /** Calls `print`, which prints lines, so that they appear above the bar. */
  above(print: () => void): void {
    this.clear();
    print();
    this.#draw();
  }

  /** Sets the progress: a share from 0 to 1. Other values mean that it is unknown, which is shown as 0 %. */
  set(share: number): void {
    this.#percent = share >= 0 && share <= 1 ? Math.round(share * 100) : 0;
    this.#draw();
  }

  /** Erases the bar until it is drawn again. */
  clear(): void {
    if (!this.#isShown) return;
    this.#isDrawn = false;
    this.#session.output.writeError(RETURN + NO_PROGRESS + TO_LINE_END + RETURN);
  }

  /** Erases the bar and stops redrawing it. */
  end(): void {
    this.#stopListening();
    this.clear();
  }

  /**
   * Redraws the bar. A terminal that became narrower has wrapped it, so everything below the cursor is erased first.
   */
  #resized(): void {
    if (!this.#isDrawn) return;
    this.#session.output.writeError(RETURN + TO_SCREEN_END);
    this.#draw();
  }

  #draw(): void {
    if (!this.#isShown) return;
    this.#isDrawn = true;
    const { paint, colors, utf8, stderrColumns: columns } = this.#session.terminal;
    const [full, empty] = utf8 ? ["━", "┄"] : ["=", "-"];
    const room = Math.max(columns - PREFIX.length - RIGHT_WIDTH, 1);
    const detail = this.#detail === "" ? "" : ` ${this.#detail}`;
    const isDetailed = room - displayWidth(detail) >= LEAST_BAR;
    const length = isDetailed ? room - displayWidth(detail) : room;
    const done = Math.min(Math.floor((this.#percent * length) / 100) + 1, length);
    const rest = Math.max(length - done - 1, 0);
    const green = colors === "off" ? "" : GREEN;
    const gap = done < length ? " " : "";
    const bar = green + full.repeat(done) + paint.normal + gap + paint.grey + empty.repeat(rest) + paint.normal;
    const percent = `${paint.bright}${String(this.#percent).padStart(3)}%${paint.normal}${isDetailed ? detail : ""}`;
    const report = own(`\u001b]9;4;1;${this.#percent}\u001b\\`);
    this.#session.output.writeError(`${RETURN}${PREFIX}${report}${bar} ${percent}${TO_LINE_END}${RETURN}`);
  }
}
