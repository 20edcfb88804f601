// Formats the parts of a client's `--help` pages: usage, sections of terms and meanings, the reference to the manual
// page.
import { HELP_WIDTH, helpEntry, usageLines, wrapWords } from "../../base/text/help-text.ts";
import { own } from "../format/own-sequence.ts";
import type { Session } from "../session/session.ts";

interface OptionRow {
  readonly alias?: string | string[] | undefined;
  readonly valueHint?: string | undefined;
  readonly isValueOptional?: true;
}

/** The column in which meanings begin. */
const COLUMN = 29;

/** Returns the term of an option, such as `-n --lines=N`; without a short form, blanks are in its place. */
export function optionTerm(key: string, { alias, valueHint = "", isValueOptional }: OptionRow): string {
  if (key.length === 1) return valueHint === "" ? `-${key}` : `-${key} ${valueHint}`;
  const short = alias === undefined ? "   " : `-${[alias].flat()[0]} `;
  return `${short}--${key}${valueHint === "" ? "" : isValueOptional === true ? `[=${valueHint}]` : `=${valueHint}`}`;
}

/** Formats one help page for the terminal of a session. */
export class HelpPage {
  readonly #session: Session;
  readonly #width: number;

  constructor(session: Session) {
    const { stdoutIsTty, columns } = session.terminal;
    this.#session = session;
    this.#width = stdoutIsTty ? columns : HELP_WIDTH;
  }

  /** Returns the usage line, `> machinectl list [OPTION…]`, and a sentence below it. */
  top(usage: string, sentence: string): string {
    const { paint } = this.#session.terminal;
    const lines = wrapWords(sentence, this.#width).map((line) => `${paint.bright}${line}${paint.normal}\n`);
    return `${usageLines(`> ${usage}`, this.#width)}\n${lines.join("")}`;
  }

  /** Returns a heading with terms and meanings below it; empty if there are no entries. */
  section(title: string, entries: readonly (readonly [term: string, meaning: string])[]): string {
    if (entries.length === 0) return "";
    const { paint } = this.#session.terminal;
    const end = paint.underline === "" ? "" : paint.normal;
    const lines = entries.map(([term, meaning]) =>
      helpEntry(`  ${term}`, meaning, { column: COLUMN, width: this.#width }),
    );
    return `\n${paint.normal}${paint.underline}${title}:${end}\n${lines.join("")}`;
  }

  /** Returns a wrapped paragraph of text with an empty line before it. */
  paragraph(text: string): string {
    return `\n${wrapWords(text, this.#width).join("\n")}\n`;
  }

  /** Returns the line that refers to the manual page, as a link on terminals with OSC 8 links. */
  manual(name: string): string {
    const text = `${name}(1) man page`;
    const shown = this.#session.terminal.links
      ? own(`\u001b]8;;man:${name}(1)\u001b\\${text}\u001b]8;;\u001b\\`)
      : text;
    return `\nSee the ${shown} for details.\n`;
  }
}
