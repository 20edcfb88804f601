// The layout of help texts: terms and meanings in two columns, one under the other on a narrow terminal.
import { displayWidth } from "./format.ts";

/** The width, in columns, of a help text that is not written to a terminal. */
export const HELP_WIDTH = 80;
const LEAST_WIDTH = 20;
/** A meaning that has fewer columns than this, or than its longest word, is written below its term. */
const MEANING_WIDTH = 30;
const UNDER_TERM = " ".repeat(8);
const CONTINUED = "    ";

/** Breaks a text at its spaces into lines of at most `width` columns; a longer word gets a line of its own. */
export function wrapWords(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(" ")) {
    const last = lines.at(-1);
    const longer = last === undefined ? word : `${last} ${word}`;
    if (last !== undefined && displayWidth(longer) <= width) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  return lines;
}

/** Returns the synopsis of a command in lines of at most `width` columns; lines after the first are indented. */
export function usageLines(usage: string, width: number): string {
  const [first = "", ...rest] = wrapWords(usage, width);
  const more = rest.length === 0 ? [] : wrapWords(rest.join(" "), width - CONTINUED.length);
  return `${[first, ...more.map((line) => CONTINUED + line)].join("\n")}\n`;
}

/**
 * Returns the lines of a term, which includes its indentation, and its meaning, which begins at `column` where the
 * width allows it. A term that reaches beyond that column gets a line of its own.
 */
export function helpEntry(term: string, meaning: string, { column, width }: { column: number; width: number }): string {
  const longest = Math.max(...meaning.split(" ").map(displayWidth));
  const isNarrow = width - column < Math.max(MEANING_WIDTH, longest);
  const indent = isNarrow ? UNDER_TERM : " ".repeat(column);
  const lines = wrapWords(meaning, Math.max(width - indent.length, LEAST_WIDTH)).map((line) => indent + line);
  if (isNarrow || displayWidth(term) >= column) return [term, ...lines, ""].join("\n");
  const first = term + (lines[0] ?? "").slice(displayWidth(term));
  return [first, ...lines.slice(1), ""].join("\n");
}

/** The help text of a program without verbs of its own. */
export interface HelpText {
  readonly usage: string;
  readonly about: readonly string[];
  /** Terms with their meanings, under a title where there are several kinds. */
  readonly sections?: readonly { readonly title?: string; readonly entries: readonly (readonly [string, string])[] }[];
  /** The column at which meanings begin. */
  readonly column?: number;
  readonly notes?: readonly string[];
}

/** Returns the text in lines of at most `width` columns. */
export function layOutHelp({ usage, about, sections = [], column = 0, notes = [] }: HelpText, width: number): string {
  const paragraph = (text: string) => `${wrapWords(text, width).join("\n")}\n`;
  const shown = sections.map(({ title, entries }) => {
    const lines = entries.map(([term, meaning]) => helpEntry(`  ${term}`, meaning, { column, width }));
    return (title === undefined ? "" : `${title}:\n`) + lines.join("");
  });
  return [usageLines(usage, width), ...about.map(paragraph), ...shown, ...notes.map(paragraph)].join("\n");
}

/** Returns the width of a help text on a stream: that of its terminal (or of $COLUMNS), at most 80 columns. */
export function helpWidth(
  stream: { readonly isTTY?: boolean; readonly columns?: number },
  env: Readonly<Record<string, string | undefined>>,
): number {
  if (stream.isTTY !== true) return HELP_WIDTH;
  const wish = Number(env["COLUMNS"] ?? "");
  const columns = Number.isInteger(wish) && wish > 0 ? wish : (stream.columns ?? 0);
  return columns <= 0 ? HELP_WIDTH : Math.min(Math.max(columns, LEAST_WIDTH), HELP_WIDTH);
}
