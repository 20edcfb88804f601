// The findings of doctor as text for people.
import { wrapWords } from "../../base/text/help-text.ts";
import type { Paint } from "../format/terminal.ts";
import type { Diagnosis, Level } from "./finding.ts";

const COLOURS: Readonly<Record<Level, keyof Paint>> = {
  ok: "green",
  warning: "yellow",
  problem: "red",
  unknown: "grey",
};

/** What was found is below the title where it would have fewer columns than this beside it. */
const WHAT_WIDTH = 36;
const LEAST_WIDTH = 20;

interface Form {
  readonly paint: Paint;
  /** How wide a line may be; null for no limit. */
  readonly columns: number | null;
}

/** Returns the text. Commands that repair something are on one line at any width, because people copy them. */
export function findingsText(findings: readonly Omit<Diagnosis, "id">[], { paint, columns }: Form): string {
  const titles = Math.max(0, ...findings.map(({ title }) => title.length));
  const indent = " ".repeat("warning  ".length);
  const column = indent.length + titles + 2;
  const width = columns ?? Number.POSITIVE_INFINITY;
  const wrapped = (text: string, at: number) =>
    wrapWords(text, Math.max(width - at, LEAST_WIDTH)).join(`\n${" ".repeat(at)}`);
  const isNarrow = width - column < WHAT_WIDTH;
  let printed = "";
  for (const { level, title, what, why, mend } of findings) {
    const text = isNarrow
      ? `${title}\n${indent}${wrapped(what, indent.length)}`
      : `${title.padEnd(titles)}  ${wrapped(what, column)}`;
    printed += `${paint[COLOURS[level]]}${level.padEnd(7)}${paint.normal}  ${text}\n`;
    if (why !== undefined) printed += `${indent}why:  ${wrapped(why, indent.length + "why:  ".length)}\n`;
    if (mend !== undefined) printed += `${indent}mend: ${paint.bright}${mend}${paint.normal}\n`;
  }
  return printed;
}
