// Tables as the systemd tools print them: upper-case headings, one blank between columns, cut to the terminal's width
// with an ellipsis, or the same data as a JSON array of objects.
import { displayWidth, ellipsize } from "../base/format.ts";
import type { Json } from "./json.ts";
import type { Paint, Terminal } from "./terminal.ts";

/** One field of a table. */
export interface Cell {
  /** What is printed; may have several lines. The empty string of an `empty` cell is printed as a grey dash. */
  readonly text: string;
  readonly json: Json;
  readonly empty?: boolean;
  /** How many lines are printed at most; an ellipsis ends the last one when there were more. */
  readonly lines?: number;
  readonly color?: keyof Paint;
  readonly alignRight?: boolean;
  /** Where the text leads to, on terminals that know links (OSC 8). */
  readonly link?: string;
}

export interface Table {
  /** Lower-case names: keys in JSON, headings in upper case. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

export interface TableForm {
  readonly terminal: Terminal;
  readonly heading: boolean;
  /** The width to keep to; null: as wide as the data. */
  readonly width: number | null;
}

/** A cell of plain text; the empty string counts as having no value. */
export function textCell(text: string): Cell {
  return text === "" ? EMPTY_CELL : { text, json: text };
}

const EMPTY_CELL: Cell = { text: "-", json: null, empty: true };

/** A table as JSON: an array with one object for each row. */
export function tableJson(table: Table): Json {
  return table.rows.map((row) =>
    Object.fromEntries(table.columns.map((column, index) => [column, row[index]?.json ?? null])),
  );
}

interface Field {
  readonly lines: readonly string[];
  /** Columns that each line takes. */
  readonly widths: readonly number[];
  readonly color: string;
  readonly alignRight: boolean;
  readonly link?: string | undefined;
  /** The first line as it is printed, once the columns have their widths. */
  first: string;
}

function fieldOf(cell: Cell, terminal: Terminal): Field {
  const colorName = cell.empty === true ? "grey" : cell.color;
  const lines = linesOf(cell, terminal);
  return {
    lines,
    widths: lines.length === 1 ? [displayWidth(lines[0] ?? "")] : lines.map(displayWidth),
    color: colorName === undefined ? "" : terminal.paint[colorName],
    alignRight: cell.alignRight === true,
    link: terminal.links ? cell.link : undefined,
    first: "",
  };
}

function linesOf({ text, lines: most }: Cell, terminal: Terminal): string[] {
  if (!text.includes("\n")) return most === 0 ? [] : [text];
  const all = text.split("\n");
  const lines = all.slice(0, most ?? all.length);
  const last = lines.length - 1;
  if (lines.length < all.length && last >= 0) lines[last] += terminal.glyphs.ellipsis;
  return lines;
}

/**
 * Widths of columns that want `wanted` but have `total` together: each gets one, the rest is shared out evenly from
 * left to right; a column that wants less than its share is settled first and its share divided anew.
 */
export function shareWidth(wanted: readonly number[], total: number): number[] {
  const widths: (number | null)[] = wanted.map(() => null);
  let open = wanted.length;
  let surplus = Math.max(total - wanted.length, 0);
  const settle = (index: number, width: number) => {
    widths[index] = width;
    surplus -= width - 1;
    open -= 1;
  };
  for (;;) {
    const content = wanted.findIndex((want, i) => widths[i] === null && 1 + Math.floor(surplus / open) >= want);
    if (content < 0) break;
    settle(content, wanted[content] ?? 1);
  }
  for (let i = 0; i < wanted.length; i++) {
    if (widths[i] === null) settle(i, Math.min(1 + Math.floor(surplus / open), wanted[i] ?? 1));
  }
  return widths.map((width) => width ?? 1);
}

/** One column on its way to the page. */
interface Column {
  readonly heading: Field;
  /** In the order of the rows. Cells that are one object share a field. */
  readonly fields: readonly Field[];
  readonly distinct: readonly Field[];
}

function columnOf(table: Table, index: number, { terminal }: TableForm): Column {
  const known = new Map<Cell, Field>();
  const fields: Field[] = [];
  for (const row of table.rows) {
    const cell = row[index] ?? EMPTY_CELL;
    let field = known.get(cell);
    if (field === undefined) {
      field = fieldOf(cell, terminal);
      known.set(cell, field);
    }
    fields.push(field);
  }
  const alignRight = fields[0]?.alignRight ?? false;
  const name = table.columns[index] ?? "";
  const heading = fieldOf({ text: name.toUpperCase(), json: null, alignRight }, terminal);
  return { heading: { ...heading, color: terminal.paint.underline }, fields, distinct: [...known.values()] };
}

function columnWidths(columns: readonly Column[], { heading, width }: TableForm): number[] {
  const wanted = columns.map((column) => {
    let most = heading ? (column.heading.widths[0] ?? 1) : 1;
    for (const { widths } of column.distinct) for (const own of widths) if (own > most) most = own;
    return most;
  });
  const gaps = Math.max(columns.length - 1, 0);
  const natural = wanted.reduce((sum, want) => sum + want, gaps);
  return width === null || natural <= width ? wanted : shareWidth(wanted, width - gaps);
}

/** Text that leads somewhere: OSC 8. */
function linked(text: string, url: string): string {
  return `\u001b]8;;${url}\u001b\\${text}\u001b]8;;\u001b\\`;
}

/** The `index`-th line of a field as it is printed in a column of that width. */
function printField({ lines, widths, color, alignRight, link }: Field, index: number, width: number, form: TableForm) {
  const { paint, glyphs } = form.terminal;
  let text = lines[index] ?? "";
  let blanks = width - (widths[index] ?? 0);
  if (blanks < 0) {
    text = ellipsize(text, width, glyphs.ellipsis);
    blanks = Math.max(width - displayWidth(text), 0);
  }
  const padding = " ".repeat(blanks);
  const shown = link === undefined ? text : linked(text, link);
  const padded = alignRight ? padding + shown : shown + padding;
  return color === "" ? padded : color + padded + paint.normal;
}

/** Uncoloured blanks at the end are left out. */
function endLine(text: string): string {
  let end = text.length;
  while (text[end - 1] === " ") end--;
  return `${text.slice(0, end)}\n`;
}

/** A table as text, with its line ends. */
export function renderTable(table: Table, form: TableForm): string {
  const { paint } = form.terminal;
  const columns = table.columns.map((_, index) => columnOf(table, index, form));
  const widths = columnWidths(columns, form);
  const lineOf = (fields: readonly Field[], index: number, gap: string) =>
    endLine(fields.map((field, column) => printField(field, index, widths[column] ?? 1, form)).join(gap));
  const underlinedGap = paint.underline === "" ? " " : `${paint.underline} ${paint.normal}`;
  const headings = columns.map(({ heading }) => heading);
  let printed = form.heading ? lineOf(headings, 0, underlinedGap) : "";
  // Plain loops: a long table is printed before the engine has optimised anything.
  for (const [column, { distinct }] of columns.entries()) {
    const width = widths[column] ?? 1;
    for (const field of distinct) field.first = printField(field, 0, width, form);
  }
  for (let row = 0; row < table.rows.length; row++) {
    let height = 1;
    let line = "";
    for (let column = 0; column < columns.length; column++) {
      const field = columns[column]?.fields[row] as Field;
      if (field.lines.length > height) height = field.lines.length;
      if (column > 0) line += " ";
      line += field.first;
    }
    printed += endLine(line);
    if (height === 1) continue;
    const fields = columns.map((column) => column.fields[row] as Field);
    for (let index = 1; index < height; index++) printed += lineOf(fields, index, " ");
  }
  return printed;
}
