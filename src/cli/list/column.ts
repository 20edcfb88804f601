// The type of the tables that describe the columns of a list. Headings, help, completion, docs/json.md and the words
// that --columns=, --sort=, --filter= and --template= accept are made from these tables.
import type { Zone } from "../../base/text/format.ts";
import type { ColumnRow } from "../command-line/verb-row.ts";
import type { Json } from "../format/json.ts";
import type { Cell } from "../format/table.ts";

/** What the functions that make cells take beside the row. */
export interface CellContext {
  readonly zone: Zone;
  readonly nowUsec: bigint;
  /** The largest number of lines of a cell with several values. */
  readonly mostLines: number;
}

/**
 * A column of a list of `Row`. `Need` are the names of data that must be queried before the column's cells can be made.
 */
export interface Column<Row, Need extends string = never> extends ColumnRow {
  readonly isUsual?: true;
  readonly needs?: readonly Need[];
  readonly cell: (row: Row, context: CellContext) => Cell;
  /** Returns the column's members of the row's JSON object, where these are not the cell under the column's key. */
  readonly members?: (row: Row) => { readonly [key: string]: Json };
}

/** Returns the heading of a column in lower case. */
export function titleOf({ key, title }: ColumnRow): string {
  return title ?? key;
}

/** Returns the columns that are shown without --columns=. */
export function usualColumns<Row, Need extends string>(columns: readonly Column<Row, Need>[]): Column<Row, Need>[] {
  return columns.filter(({ isUsual }) => isUsual === true);
}
