// Parses the options --columns=, --sort=, --filter= and --template= against the columns of a list.
import { globMatcher } from "../../base/text/glob.ts";
import { Failure } from "../session/failure.ts";
import { type Settings, tableJsonMode } from "../session/settings.ts";
import type { Column } from "./column.ts";
import { usualColumns } from "./column.ts";
import { findColumn } from "./find-column.ts";
import { parseTemplate, type Template } from "./template.ts";

/** A column to sort by, and whether large values come first. */
export interface Order<Row, Need extends string> {
  readonly column: Column<Row, Need>;
  readonly isDescending: boolean;
}

/** The patterns for one column. A row passes if one of them matches. */
interface Filter<Row, Need extends string> {
  readonly column: Column<Row, Need>;
  readonly matchers: ((text: string) => boolean)[];
}

/** The parsed options. A row is shown if it passes all filters. */
export interface Plan<Row, Need extends string> {
  readonly shown: readonly Column<Row, Need>[];
  readonly order: readonly Order<Row, Need>[];
  readonly filters: readonly Filter<Row, Need>[];
  readonly template: Template<Column<Row, Need>> | null;
  /** The data that must be queried for all these columns. */
  readonly needs: ReadonlySet<Need>;
}

/** The value of `--columns=` that lists the columns. */
export const HELP = "help";
const ALL = "all";

function shownColumns<Row, Need extends string>(
  columns: readonly Column<Row, Need>[],
  usual: readonly Column<Row, Need>[],
  value: string | null,
): Column<Row, Need>[] {
  if (value === null) return [...usual];
  if (value === ALL) return [...columns];
  const words = value.split(",");
  // "+a,b" means the same as "+a,+b".
  const isAddition = value.startsWith("+");
  const named = words.map((word) => findColumn(columns, isAddition ? word.replace(/^\+/, "") : word, "--columns="));
  // A column that is named twice is shown once, because a JSON object can have its key only once.
  return [...new Set([...(isAddition ? usual : []), ...named])];
}

function orderOf<Row, Need extends string>(columns: readonly Column<Row, Need>[], value: string | null) {
  if (value === null) return [];
  return value.split(",").map((word): Order<Row, Need> => {
    const [, minus, name = "", direction] = /^(-?)(.*?)(?::(asc|desc))?$/.exec(word) ?? [];
    return { column: findColumn(columns, name, "--sort="), isDescending: (minus === "-") !== (direction === "desc") };
  });
}

function filtersOf<Row, Need extends string>(columns: readonly Column<Row, Need>[], conditions: readonly string[]) {
  const filters: Filter<Row, Need>[] = [];
  for (const condition of conditions) {
    const equals = condition.indexOf("=");
    if (equals < 0) throw new Failure(`'${condition}' is no filter: use --filter=KEY=GLOB, as in --filter=name='web*'`);
    const column = findColumn(columns, condition.slice(0, equals), "--filter=");
    const matcher = globMatcher(condition.slice(equals + 1));
    const known = filters.find((filter) => filter.column === column);
    if (known === undefined) filters.push({ column, matchers: [matcher] });
    else known.matchers.push(matcher);
  }
  return filters;
}

/** Throws a Failure for options that --template= excludes. */
export function checkTemplate(settings: Settings): void {
  const { template, columns } = settings.list;
  if (template === null) return;
  if (columns !== null) throw new Failure("--template= names its columns itself: leave out --columns=");
  if (tableJsonMode(settings) !== null)
    throw new Failure("--template= cannot be used with JSON output: it prints text");
}

/**
 * Parses the options; `usual` are the columns that are shown without --columns=. Throws a Failure for an unknown
 * column, and for options that exclude each other.
 */
export function planOf<Row, Need extends string>(
  settings: Settings,
  columns: readonly Column<Row, Need>[],
  usual: readonly Column<Row, Need>[] = usualColumns(columns),
): Plan<Row, Need> {
  const { list } = settings;
  checkTemplate(settings);
  const template = list.template === null ? null : parseTemplate(list.template, columns);
  const shown = template === null ? shownColumns(columns, usual, list.columns) : template.columns;
  const order = orderOf(columns, list.sort);
  const filters = filtersOf(columns, list.filters);
  const all = [...shown, ...order.map(({ column }) => column), ...filters.map(({ column }) => column)];
  return { shown, order, filters, template, needs: new Set(all.flatMap(({ needs }) => needs ?? [])) };
}
