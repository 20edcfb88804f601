// How far a transfer is. On a terminal: one bar below the lines of its log, drawn anew when the terminal's size changes; the
// terminal itself is informed with OSC 9;4, for its task bar or tab. Elsewhere: a line for each tenth.
import { displayWidth } from "../../base/format.ts";
import { own } from "../format/own-sequence.ts";
import type { Session } from "../session/session.ts";

const PREFIX = "Total: ";
const GREEN = own("\u001b[0;1;32m");
const TO_LINE_END = own("\u001b[K");
const TO_SCREEN_END = own("\u001b[J");
const RETURN = own("\r");
const NOTHING = own("\u001b]9;4;0;\u001b\\");
/** Blank, percent, and a column that stays free: a cursor in the last one would wrap. */
const RIGHT_WIDTH = 6;

/** The lines with which workers, the original's too, tell their log how far they are. */
const PROGRESS_LINE = /^(?:Got|Sent|Imported|Exported) (\d{1,3})%(?: of .*?)?\.(?: (\S.{0,30} left at \S{1,20})\.)?$/;

const PERCENT_OF_TENTH = 10;
/** A bar is not made shorter than this for what stands behind it. */
const LEAST_BAR = 20;

export class ProgressBar {
  readonly #session: Session;
  readonly #isShown: boolean;
  readonly #stopListening: () => void;
  #isDrawn = false;
  #percent = 0;
  #tenth = -1;
  /** Time left and rate, in the words of the worker. */
  #detail = "";

  constructor(session: Session) {
    const { terminal, settings, ports } = session;
    this.#session = session;
    const isDumb = ports.env["TERM"] === undefined || ports.env["TERM"] === "dumb";
    this.#isShown = terminal.stderrIsTty && !isDumb && !settings.quiet;
    this.#stopListening = this.#isShown ? ports.onResize(() => this.#resized()) : () => {};
  }

  /**
   * Takes a line of the transfer's log if it says how far the transfer is; returns whether it need not be printed: the bar
   * shows it, or it is the second of a tenth.
   */
  takes(line: string): boolean {
    const match = PROGRESS_LINE.exec(line);
    if (match === null) return false;
    const [, percent, detail = ""] = match;
    this.#detail = detail;
    const tenth = Math.floor(Number(percent) / PERCENT_OF_TENTH);
    const isSaid = this.#isShown || tenth <= this.#tenth;
    this.#tenth = Math.max(tenth, this.#tenth);
    return isSaid;
  }

  /** Prints lines above the bar. */
  above(print: () => void): void {
    this.clear();
    print();
    this.#draw();
  }

  /** A share between 0 and 1; anything else is unknown, which is shown as nothing done. */
  set(share: number): void {
    this.#percent = share >= 0 && share <= 1 ? Math.round(share * 100) : 0;
    this.#draw();
  }

  clear(): void {
    if (!this.#isShown) return;
    this.#isDrawn = false;
    this.#session.output.writeError(RETURN + NOTHING + TO_LINE_END + RETURN);
  }

  /** Removes the bar for good. */
  end(): void {
    this.#stopListening();
    this.clear();
  }

  /** A terminal that became narrower has wrapped the bar: what is left of it is below the cursor. */
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
