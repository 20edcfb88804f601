// Prints a list: as a table with its legend, or as JSON.
import { errnoText } from "../../base/errno.ts";
import { usageLines, wrapWords } from "../../base/text/help-text.ts";
import { formatJson } from "../format/json.ts";
import { renderTable, type Table, tableJson, withoutExcess } from "../format/table.ts";
import { Failure } from "./failure.ts";
import type { Session } from "./session.ts";
import { tableJsonMode } from "./settings.ts";

/**
 * Prints a table as JSON if the settings say so, else as text with its legend (`3 machines listed.`, `No machines.`).
 * `noun` is the plural noun of the legend. The terminal's width is a limit, except in a pager or with -l. Throws a
 * Failure if stdout cannot be written.
 */
export function printTable(session: Session, table: Table, noun: string): void {
  write(session, table, noun);
  check(session);
}

/**
 * printTable() for numbers: columns that do not fit are left out from the right and named below the table, because a
 * shortened number would be misread.
 */
export function printNumbers(session: Session, table: Table, noun: string): void {
  const { terminal, settings, output } = session;
  const width = screenWidth(session);
  const { table: fitting, leftOut } = withoutExcess(table, { terminal, heading: settings.legend, width });
  write(session, fitting, noun);
  if (leftOut.length > 0 && settings.legend && table.rows.length > 0) {
    const note = `Too wide for the terminal: ${leftOut.join(", ").toUpperCase()}. Option -l shows all columns.`;
    output.write(`${wrapWords(note, width ?? Number.POSITIVE_INFINITY).join("\n")}\n`);
  }
  check(session);
}

/** Returns how wide a line may be; null where nothing limits it: outside of terminals, in a pager, with -l. */
export function screenWidth({ terminal, output, settings }: Session): number | null {
  return terminal.stdoutIsTty && !output.hasPager && !settings.full ? terminal.columns : null;
}

/**
 * Breaks a line of text into lines that fit the terminal; those after the first are indented. One line where nothing
 * limits the width.
 */
export function fittingLines(session: Session, text: string): string[] {
  const width = screenWidth(session);
  return width === null ? [text] : usageLines(text, width).trimEnd().split("\n");
}

/**
 * printTable() for a command whose only output is the table: the output is held back until it is complete
 * (Output.hold()).
 */
export async function printOnlyTable(session: Session, table: Table, noun: string): Promise<void> {
  session.holdOutput();
  write(session, table, noun);
  await session.output.flush();
  check(session);
}

function write(session: Session, table: Table, noun: string): void {
  const { settings, terminal, output } = session;
  const jsonMode = tableJsonMode(settings);
  if (jsonMode !== null) output.write(formatJson(tableJson(table), jsonMode, terminal.paint));
  else {
    const width = screenWidth(session);
    if (table.rows.length > 0) output.write(renderTable(table, { terminal, heading: settings.legend, width }));
    if (settings.legend) output.write(legend(table.rows.length, noun));
  }
}

function check({ output }: Session): void {
  if (output.failure !== null) throw new Failure(`Failed to print table: ${errnoText(output.failure)}`);
}

function legend(count: number, noun: string): string {
  return count === 0 ? `No ${noun}.\n` : `\n${count} ${noun} listed.\n`;
}
