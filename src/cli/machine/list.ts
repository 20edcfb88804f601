import { type Cell, type Table, textCell } from "../format/table.ts";
import { attempt } from "../session/failure.ts";
import { printTable } from "../session/print-table.ts";
import type { Session } from "../session/session.ts";
import { type ListedMachine, listMachines } from "./list-rows.ts";

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
