// What a table of columns is made of: one row for each column of a list. Headings, help, completion, docs/json.md, and what
// --columns=, --sort=, --filter= and --template= know follow from it.
import type { Zone } from "../../base/format.ts";
import type { ColumnRow } from "../command-line/verb-row.ts";
import type { Json } from "../format/json.ts";
import type { Cell } from "../format/table.ts";

/** What cells need beside their row. */
export interface CellContext {
  readonly zone: Zone;
  readonly nowUsec: bigint;
  /** How many lines a cell with several values has at most. */
  readonly mostLines: number;
}

/** A column of a list of `Row`. `Need` names what has to be asked for before its cells can be made. */
export interface Column<Row, Need extends string = never> extends ColumnRow {
  /** Whether it is shown without --columns=. */
  readonly isUsual?: true;
  readonly needs?: readonly Need[];
  readonly cell: (row: Row, context: CellContext) => Cell;
  /** The members of the JSON object, where they are not the cell under the column's key. */
  readonly members?: (row: Row) => { readonly [key: string]: Json };
}

/** The heading of a column. */
export function titleOf({ key, title }: ColumnRow): string {
  return title ?? key;
}

/** The columns that are shown without --columns=. */
export function usualColumns<Row, Need extends string>(columns: readonly Column<Row, Need>[]): Column<Row, Need>[] {
  return columns.filter(({ isUsual }) => isUsual === true);
}
