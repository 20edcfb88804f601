// A progress bar of a transfer below the lines of its log; the terminal itself is informed with
// OSC 9;4, for its task bar or tab.
import { own } from "../format/own-sequence.ts";
import type { Session } from "../session/session.ts";

const PREFIX = "Total: ";
const GREEN = own("\u001b[0;1;32m");
const TO_LINE_END = own("\u001b[K");
const RETURN = own("\r");
const NOTHING = own("\u001b]9;4;0;\u001b\\");
/** Blank, percent, and a column that stays free: a cursor in the last one would wrap. */
const RIGHT_WIDTH = 6;

export class ProgressBar {
  readonly #session: Session;
  readonly #isShown: boolean;
  #percent = 0;

  constructor(session: Session) {
    const { terminal, settings, ports } = session;
    this.#session = session;
    const isDumb = ports.env["TERM"] === undefined || ports.env["TERM"] === "dumb";
    this.#isShown = terminal.stderrIsTty && !isDumb && !settings.quiet;
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
    if (this.#isShown) this.#session.output.writeError(RETURN + NOTHING + TO_LINE_END + RETURN);
  }

  #draw(): void {
    if (!this.#isShown) return;
    const { paint, colors, utf8, columns } = this.#session.terminal;
    const [full, empty] = utf8 ? ["━", "┄"] : ["=", "-"];
    const length = Math.max(columns - PREFIX.length - RIGHT_WIDTH, 1);
    const done = Math.min(Math.floor((this.#percent * length) / 100) + 1, length);
    const rest = Math.max(length - done - 1, 0);
    const green = colors === "off" ? "" : GREEN;
    const gap = done < length ? " " : "";
    const bar = green + full.repeat(done) + paint.normal + gap + paint.grey + empty.repeat(rest) + paint.normal;
    const percent = `${paint.bright}${String(this.#percent).padStart(3)}%${paint.normal}`;
    const report = own(`\u001b]9;4;1;${this.#percent}\u001b\\`);
    this.#session.output.writeError(`${RETURN}${PREFIX}${report}${bar} ${percent}${TO_LINE_END}${RETURN}`);
  }
}
