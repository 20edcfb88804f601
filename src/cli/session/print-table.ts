// Prints a list: as a table with its legend, or as JSON.
import { errnoText } from "../../base/errno.ts";
import { formatJson } from "../format/json.ts";
import { renderTable, type Table, tableJson } from "../format/table.ts";
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

/** The same for a command whose only output is the table: Output.hold(). */
export async function printOnlyTable(session: Session, table: Table, noun: string): Promise<void> {
  session.holdOutput();
  write(session, table, noun);
  await session.output.flush();
  check(session);
}

function write({ settings, terminal, output }: Session, table: Table, noun: string): void {
  const jsonMode = tableJsonMode(settings);
  if (jsonMode !== null) output.write(formatJson(tableJson(table), jsonMode, terminal.paint));
  else {
    const limited = terminal.stdoutIsTty && !output.hasPager && !settings.full;
    const width = limited ? terminal.columns : null;
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
