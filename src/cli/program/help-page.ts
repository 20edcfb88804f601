// What the pages of `--help` of a client are made of: headings, entries, the reference to the manual.
import { HELP_WIDTH, helpEntry, usageLines, wrapWords } from "../../base/help-text.ts";
import { own } from "../format/own-sequence.ts";
import type { Session } from "../session/session.ts";

interface OptionRow {
  readonly alias?: string | string[] | undefined;
  readonly valueHint?: string | undefined;
  readonly isValueOptional?: true;
}

/** Where meanings begin. */
const COLUMN = 29;

/** An option as a term: its short form has a column of its own. */
export function optionTerm(key: string, { alias, valueHint = "", isValueOptional }: OptionRow): string {
  if (key.length === 1) return valueHint === "" ? `-${key}` : `-${key} ${valueHint}`;
  const short = alias === undefined ? "   " : `-${[alias].flat()[0]} `;
  return `${short}--${key}${valueHint === "" ? "" : isValueOptional === true ? `[=${valueHint}]` : `=${valueHint}`}`;
}

/** One page of help for the terminal of a session. */
export class HelpPage {
  readonly #session: Session;
  readonly #width: number;

  constructor(session: Session) {
    const { stdoutIsTty, columns } = session.terminal;
    this.#session = session;
    this.#width = stdoutIsTty ? columns : HELP_WIDTH;
  }

  /** `> machinectl list [OPTION…]`, and what that is for. */
  top(usage: string, sentence: string): string {
    const { paint } = this.#session.terminal;
    const lines = wrapWords(sentence, this.#width).map((line) => `${paint.bright}${line}${paint.normal}\n`);
    return `${usageLines(`> ${usage}`, this.#width)}\n${lines.join("")}`;
  }

  /** A heading with terms and meanings below it; nothing where there are none. */
  section(title: string, entries: readonly (readonly [term: string, meaning: string])[]): string {
    if (entries.length === 0) return "";
    const { paint } = this.#session.terminal;
    const end = paint.underline === "" ? "" : paint.normal;
    const lines = entries.map(([term, meaning]) =>
      helpEntry(`  ${term}`, meaning, { column: COLUMN, width: this.#width }),
    );
    return `\n${paint.normal}${paint.underline}${title}:${end}\n${lines.join("")}`;
  }

  /** Text below the sections. */
  paragraph(text: string): string {
    return `\n${wrapWords(text, this.#width).join("\n")}\n`;
  }

  /** Where more stands: a link where the terminal has links. */
  manual(name: string): string {
    const text = `${name}(1) man page`;
    const shown = this.#session.terminal.links
      ? own(`\u001b]8;;man:${name}(1)\u001b\\${text}\u001b]8;;\u001b\\`)
      : text;
    return `\nSee the ${shown} for details.\n`;
  }
}
