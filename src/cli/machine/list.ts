// `machinectl list`: a table of the machines that are registered (machinectl(1), "list").
import { errnoText } from "../../base/errno.ts";
import { attempt, Failure } from "../session/failure.ts";
import { formatJson } from "../format/json.ts";
import { type ListedMachine, listMachines } from "./list-rows.ts";
import type { Session } from "../session/session.ts";
import { tableJsonMode } from "../session/settings.ts";
import { type Cell, renderTable, type Table, tableJson, textCell } from "../format/table.ts";

function addressCell(addresses: readonly string[], most: number): Cell {
  const joined = addresses.join("\n");
  if (joined === "") return textCell("");
  return { text: joined, json: joined, ...(most === Number.POSITIVE_INFINITY ? {} : { lines: most }) };
}

function tableOf(machines: readonly ListedMachine[], mostAddresses: number): Table {
  const columns = ["machine", "class", "service", "os", "version", "addresses"];
  const withAddresses = mostAddresses > 0;
  return {
    columns: withAddresses ? columns : columns.slice(0, -1),
    rows: machines.map(({ name, class: className, service, os, version, addresses }) => [
      ...[name, className, service, os, version].map(textCell),
      ...(withAddresses ? [addressCell(addresses, mostAddresses)] : []),
    ]),
  };
}

/**
 * Prints a table as text or JSON, with its legend (`3 machines listed.`, `No machines.`). `noun` is the plural of what
 * is listed. A terminal limits the width unless a pager shows the output or -l was given.
 */
export function printTable(session: Session, table: Table, noun: string): void {
  const { settings, terminal, output } = session;
  const jsonMode = tableJsonMode(settings);
  if (jsonMode !== null) output.write(formatJson(tableJson(table), jsonMode, terminal.paint));
  else {
    const limited = terminal.stdoutIsTty && !output.hasPager && !settings.full;
    const width = limited ? terminal.columns : null;
    if (table.rows.length > 0) output.write(renderTable(table, { terminal, heading: settings.legend, width }));
    if (settings.legend) output.write(legend(table.rows.length, noun));
  }
  if (output.failure !== null) throw new Failure(`Failed to print table: ${errnoText(output.failure)}`);
}

function legend(count: number, noun: string): string {
  return count === 0 ? `No ${noun}.\n` : `\n${count} ${noun} listed.\n`;
}

/** The verb `list`. */
export async function list(session: Session): Promise<number> {
  const { settings } = session;
  await session.openPager();
  const most = settings.full ? Number.POSITIVE_INFINITY : settings.maxAddresses;
  const wishes = { hidden: settings.all, addresses: settings.maxAddresses > 0 };
  const machines = await attempt("Could not get machines", () => listMachines(session, wishes));
  printTable(session, tableOf(machines, settings.maxAddresses === 0 ? 0 : most), "machines");
  return 0;
}
