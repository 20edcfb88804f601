// Prints the rows of a list by its plan: filtered and sorted, as a table, as JSON, or by a template.
import { compareBytes } from "../../base/byte-order.ts";
import { formatJson, type Json } from "../format/json.ts";
import { type Cell, type Table, textCell } from "../format/table.ts";
import { printNumbers, printTable } from "../session/print-table.ts";
import type { Session } from "../session/session.ts";
import { tableJsonMode } from "../session/settings.ts";
import { type CellContext, type Column, titleOf } from "./column.ts";
import { HELP, type Plan } from "./plan.ts";
import { renderTemplate } from "./template.ts";

/** Compares texts with runs of digits as numbers, so that `web10` comes after `web9` and 10.0.0.2 before 10.0.0.10. */
function compareNaturally(a: string, b: string): number {
  const [left, right] = [a, b].map((text) => text.split(/(\d+)/)) as [string[], string[]];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const [one = "", other = ""] = [left[i], right[i]];
    // Every second part is digits.
    const order = i % 2 === 1 ? Number(one) - Number(other) : compareBytes(one, other);
    if (order !== 0) return order;
  }
  return left.length - right.length || compareBytes(a, b);
}

function compareCells(a: Cell, b: Cell): number {
  if (a.list !== undefined && b.list !== undefined) return compareNaturally(a.list.join(" "), b.list.join(" "));
  const [one, other] = [a.json, b.json];
  if (typeof one === "string" && typeof other === "string") return compareNaturally(one, other);
  if (typeof one === "boolean" && typeof other === "boolean") return Number(one) - Number(other);
  const [left, right] = [Number(one), Number(other)];
  return left < right ? -1 : Number(left > right);
}

/**
 * Compares two rows, for sort(). `a` and `b` are their cells in the columns to sort by, the most important first;
 * `descending` says for each of these columns whether large values come first.
 */
export function compareKeys(descending: readonly boolean[], a: readonly Cell[], b: readonly Cell[]): number {
  for (const [index, isDescending] of descending.entries()) {
    const result = compareBy(isDescending, a[index] as Cell, b[index] as Cell);
    if (result !== 0) return result;
  }
  return 0;
}

/** Whether a cell has no value. Rows with such a cell come last, in ascending and in descending order. */
function isEmpty({ json, list }: Cell): boolean {
  return json === null || json === "" || list?.length === 0;
}

function compareBy(isDescending: boolean, a: Cell, b: Cell): number {
  if (isEmpty(a) || isEmpty(b)) return Number(isEmpty(a)) - Number(isEmpty(b));
  return isDescending ? compareCells(b, a) : compareCells(a, b);
}

/** Returns the texts that a pattern may match: the printed text and the value in JSON, or the values of a list. */
function filterTexts(cell: Cell): string[] {
  if (isEmpty(cell)) return [""];
  if (cell.list !== undefined) return [...cell.list];
  return [...new Set([cell.text, String(cell.json)])];
}

/** Whether a row passes the filters. */
export function passesFilters<Row, Need extends string>(
  row: Row,
  filters: Plan<Row, Need>["filters"],
  context: CellContext,
): boolean {
  return filters.every(({ column, matchers }) => {
    const texts = filterTexts(column.cell(row, context));
    return matchers.some((matches) => texts.some(matches));
  });
}

/** Returns the rows that pass the filters, sorted by the plan; rows that compare equal keep their order. */
export function arranged<Row, Need extends string>(
  rows: readonly Row[],
  { filters, order }: Pick<Plan<Row, Need>, "filters" | "order">,
  context: CellContext,
): Row[] {
  const passing = rows.filter((row) => passesFilters(row, filters, context));
  const keyed = passing.map((row) => ({ row, keys: order.map(({ column }) => column.cell(row, context)) }));
  const descending = order.map(({ isDescending }) => isDescending);
  keyed.sort((a, b) => compareKeys(descending, a.keys, b.keys));
  return keyed.map(({ row }) => row);
}

/** Returns a row as a JSON object. In version 2, columns of type `list` are arrays. */
export function rowJson<Row, Need extends string>(
  row: Row,
  columns: readonly Column<Row, Need>[],
  context: CellContext,
  version: "1" | "2",
): Json {
  const members = columns.map(({ key, type, cell, members: own }): { readonly [key: string]: Json } => {
    if (own !== undefined) return own(row);
    const { json, list } = cell(row, context);
    return { [key]: version === "2" && type === "list" ? (list ?? []) : json };
  });
  return Object.assign({}, ...members) as Json;
}

/** A list in the form of `--cells`, from which a run for several hosts merges the lists of its hosts. */
export interface PrintedRows {
  readonly columns: readonly string[];
  readonly noun: string;
  /** For each column of --sort=, whether large values come first. */
  readonly descending: readonly boolean[];
  readonly rows: readonly {
    readonly cells: readonly Cell[];
    /** The cells in the columns of --sort=. */
    readonly keys: readonly Cell[];
    readonly json: { readonly [key: string]: Json };
  }[];
}

function printedRows<Row, Need extends string>(
  rows: readonly Row[],
  { shown, order }: Plan<Row, Need>,
  form: ListForm,
  version: "1" | "2",
): PrintedRows {
  return {
    columns: shown.map(titleOf),
    noun: form.noun,
    descending: order.map(({ isDescending }) => isDescending),
    rows: rows.map((row) => ({
      cells: shown.map(({ cell }) => cell(row, form)),
      keys: order.map(({ column }) => column.cell(row, form)),
      json: rowJson(row, shown, form, version) as { readonly [key: string]: Json },
    })),
  };
}

/** Parameters of printList(). */
export interface ListForm extends CellContext {
  /** The plural noun of the legend. */
  readonly noun: string;
  /** Whether the list will be printed again (`stats`): JSON is then one object on a line for each row, not an array. */
  readonly isRepeated?: boolean;
  /** Whether most columns are numbers, which cannot be shortened. */
  readonly hasNumbers?: boolean;
}

/** Filters, sorts and prints the rows by the plan. */
export function printList<Row, Need extends string>(
  session: Session,
  rows: readonly Row[],
  plan: Plan<Row, Need>,
  form: ListForm,
): void {
  const { settings, output, terminal } = session;
  const chosen = arranged(rows, plan, form);
  const { template, shown } = plan;
  if (template !== null) {
    output.write(chosen.map((row) => renderTemplate(template, (column) => column.cell(row, form))).join(""));
    return;
  }
  if (settings.list.cells) {
    const document = printedRows(chosen, plan, form, settings.list.jsonVersion);
    output.write(formatJson(document as unknown as Json, "short", terminal.paint));
    return;
  }
  const mode = tableJsonMode(settings);
  if (mode === null) {
    const table: Table = {
      columns: shown.map(titleOf),
      rows: chosen.map((row) => shown.map(({ cell }) => cell(row, form))),
    };
    // Chosen columns are all shown, shortened where they have to be.
    const print = form.hasNumbers === true && settings.list.columns === null ? printNumbers : printTable;
    print(session, table, form.noun);
    return;
  }
  const objects = chosen.map((row) => rowJson(row, shown, form, settings.list.jsonVersion));
  if (form.isRepeated !== true) output.write(formatJson(objects, mode, terminal.paint));
  else for (const object of objects) output.write(formatJson(object, "short", terminal.paint));
}

/** If the settings have `--columns=help`, prints the columns with their descriptions and returns true. */
export function printsColumns<Row, Need extends string>(
  session: Session,
  columns: readonly Column<Row, Need>[],
): boolean {
  if (session.settings.list.columns !== HELP) return false;
  const table: Table = {
    columns: ["column", "type", "description"],
    rows: columns.map(({ key, type, description }) => [key, type, description].map(textCell)),
  };
  printTable(session, table, "columns");
  return true;
}
