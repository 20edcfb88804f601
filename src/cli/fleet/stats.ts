// `machinectl --fleet stats`: agents send the usual columns, or where others are wanted all of them; --columns=,
// --sort=, --filter= and --template= are applied here, over the rows of all hosts. An agent of an older release sends
// the usual columns only: the others are then empty.
import { UTC } from "../../base/text/format.ts";
import type { Json } from "../format/json.ts";
import { type Cell, textCell } from "../format/table.ts";
import { checkedRows, printRows } from "../hosts/print.ts";
import { readRows } from "../hosts/read-rows.ts";
import type { HostResult } from "../hosts/result.ts";
import { type CellContext, type Column, titleOf } from "../list/column.ts";
import { planOf } from "../list/plan.ts";
import { printsColumns } from "../list/print.ts";
import { Failure } from "../session/failure.ts";
import { inParallel } from "../session/in-parallel.ts";
import type { Session } from "../session/session.ts";
import { defaultSettings } from "../session/settings.ts";
import { STATS_COLUMNS } from "../stats/table.ts";
import { AT_ONCE, askHost, finish, type Question } from "./asked.ts";
import { chosenHosts, readingFleet } from "./open.ts";
import { placesOf } from "./places.ts";
import { printFleetList } from "./print.ts";

/** A machine of the list: its host, and the row that the host sent for it. */
interface FleetStats {
  readonly host: string;
  /** By the headings of their columns. */
  readonly cells: ReadonlyMap<string, Cell>;
  readonly json: { readonly [key: string]: Json };
}

/** What only an agent sends that is asked for all columns. */
type Extra = "extras";

const COLUMNS: readonly Column<FleetStats, Extra>[] = [
  { key: "host", type: "text", description: "The host", isUsual: true, cell: ({ host }) => textCell(host) },
  ...STATS_COLUMNS.map(({ needs: _, ...column }): Column<FleetStats, Extra> => {
    const names = Object.keys(column.memberTypes ?? { [column.key]: column.type });
    return {
      ...column,
      ...(column.isUsual === true ? {} : { needs: ["extras"] }),
      cell: ({ cells }) => cells.get(titleOf(column)) ?? { text: "-", json: null, empty: true },
      members: ({ json }) => Object.fromEntries(names.map((name) => [name, json[name] ?? null])),
    };
  }),
];

function rowsOf({ terminal }: Session, results: readonly HostResult[]): FleetStats[] {
  return results.flatMap(({ host, text, error }) => {
    const list = error === null ? readRows(text, terminal.paint) : null;
    return (list?.rows ?? []).map(({ cells, json }): FleetStats => {
      const named = (list?.columns ?? []).map((title, index) => [title, cells[index] ?? textCell("")] as const);
      return { host, cells: new Map(named), json };
    });
  });
}

/** Prints the rows as the options of lists select, sort and format them. */
function printChosen(session: Session, results: readonly HostResult[]): void {
  const { settings, ports } = session;
  const context: CellContext = { zone: UTC, nowUsec: ports.nowUsec(), mostLines: 1 };
  const form = { ...context, noun: "machines", hasNumbers: true, results };
  printFleetList(session, rowsOf(session, results), planOf(settings, COLUMNS), form);
}

/** The verb `stats`; without words, for all hosts. */
export async function stats(session: Session, words: readonly string[]): Promise<number> {
  const { list, iterations, delayMs } = session.settings;
  if (iterations > 1 || delayMs !== defaultSettings().delayMs)
    throw new Failure("stats with --fleet does not take --iterations= or --delay=");
  if (printsColumns(session, COLUMNS)) return 0;
  // An error in the options is printed before hosts are asked.
  const { needs } = planOf(session.settings, COLUMNS);
  const hosts = chosenHosts(session);
  const results = await readingFleet(session, async (fleet) => {
    const all = async () => hosts ?? (await fleet.hosts()).map(({ host }) => host).sort();
    const places = words.length > 0 ? placesOf(words, hosts) : (await all()).map((host) => ({ host, machines: [] }));
    const question: Question = {
      scope: "read",
      verb: "stats",
      body: { form: "cells", ...(needs.has("extras") ? { columns: "all" } : {}) },
    };
    return inParallel(places, AT_ONCE, (place) => askHost(fleet, place, question));
  });
  await session.openPager();
  const isPlain = list.columns === null && list.sort === null && list.filters.length === 0 && list.template === null;
  const checked = checkedRows(session, results, { mustAgree: isPlain });
  if (isPlain) printRows(session, checked, { hasNumbers: true });
  else printChosen(session, checked);
  return finish(session, checked);
}
