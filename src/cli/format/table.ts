// Tables in the form of the systemd tools: upper-case headings, one blank between columns, cells shortened with an
// ellipsis to the terminal's width. The same data can be printed as a JSON array of objects.
import { onOneLine } from "../../base/text/control-characters.ts";
import { displayWidth, ellipsize } from "../../base/text/format.ts";
import type { Json } from "./json.ts";
import { own } from "./own-sequence.ts";
import type { Paint, Terminal } from "./terminal.ts";

/** One field of a table. */
export interface Cell {
  /** The printed text; may have several lines. */
  readonly text: string;
  /** The value in JSON. */
  readonly json: Json;
  /** The values of a column of type `list`; `text` and `json` contain them joined by newlines. */
  readonly list?: readonly string[];
  /** Whether the cell has no value: its text, a dash, is printed in grey. */
  readonly empty?: boolean;
  /** The largest number of lines that are printed; the last one ends with an ellipsis if there are more. */
  readonly lines?: number;
  readonly color?: keyof Paint;
  readonly alignRight?: boolean;
  /** The URL that the text links to, on terminals with OSC 8 links. */
  readonly link?: string;
}

/** The contents of a table; each row has one cell for each column. */
export interface Table {
  /** Lower-case names: keys in JSON, headings in upper case. */
  readonly columns: readonly string[];
  readonly rows: readonly (readonly Cell[])[];
}

interface TableForm {
  readonly terminal: Terminal;
  readonly heading: boolean;
  /** The largest width of a line; null for no limit. */
  readonly width: number | null;
}

const EMPTY_CELL: Cell = { text: "-", json: null, empty: true };
/** Cells by their text: long lists repeat most texts. Not more than KNOWN_CELLS are kept. */
const known = new Map<string, Cell>([["", EMPTY_CELL]]);
const KNOWN_CELLS = 4096;

/** Returns a cell of plain text on one line; for the empty string, a cell without a value. */
export function textCell(text: string): Cell {
  const found = known.get(text);
  if (found !== undefined) return found;
  const cell = { text: onOneLine(text), json: text };
  if (known.size < KNOWN_CELLS) known.set(text, cell);
  return cell;
}

/** Returns a table as a JSON array with one object for each row. */
export function tableJson(table: Table): Json {
  return table.rows.map((row) =>
    Object.fromEntries(table.columns.map((column, index) => [column, row[index]?.json ?? null])),
  );
}

function linesOf({ text, lines: most }: Cell, terminal: Terminal): string[] {
  const all = text.split("\n");
  const lines = all.slice(0, most ?? all.length);
  const last = lines.length - 1;
  if (lines.length < all.length && last >= 0) lines[last] += terminal.glyphs.ellipsis;
  return lines;
}

/**
 * Distributes `total` among columns that are `wanted` wide. Each column has at least 1. Columns that need no more than
 * an equal share of the rest keep their width; what they leave is shared equally among the others, from left to right.
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

/** The cells of one column. Rows may share a cell object, which is then measured and rendered once. */
interface Column {
  readonly heading: Cell;
  readonly cells: ReadonlySet<Cell>;
  /** The lines of those cells that have more than one line, or none. */
  readonly lines: ReadonlyMap<Cell, readonly string[]>;
}

function columnOf(table: Table, index: number, { terminal }: TableForm): Column {
  const cells = new Set<Cell>();
  for (const row of table.rows) cells.add(row[index] ?? EMPTY_CELL);
  const lines = new Map<Cell, readonly string[]>();
  for (const cell of cells) {
    if (cell.lines === 0 || cell.text.includes("\n")) lines.set(cell, linesOf(cell, terminal));
  }
  const name = table.columns[index] ?? "";
  const alignRight = table.rows[0]?.[index]?.alignRight ?? false;
  return { heading: { text: name.toUpperCase(), json: null, alignRight }, cells, lines };
}

/** The widths that the columns need to show everything. */
function neededWidths(columns: readonly Column[], { heading }: TableForm): number[] {
  return columns.map((column) => {
    let most = heading ? displayWidth(column.heading.text) : 1;
    for (const cell of column.cells) {
      const own = column.lines.has(cell) ? 0 : displayWidth(cell.text);
      if (own > most) most = own;
    }
    for (const lines of column.lines.values()) for (const line of lines) most = Math.max(most, displayWidth(line));
    return most;
  });
}

/** A column of names that is shortened, so that others fit, keeps this width. */
const NAME_WIDTH = 12;

/**
 * Returns the table without the last columns that do not fit into the width, and the names of those. For tables of
 * numbers, which mean nothing when they are shortened. The column `name`, which may be shortened, is always kept, and
 * so is the one after it.
 */
export function withoutExcess(table: Table, form: TableForm, name = 0): { table: Table; leftOut: readonly string[] } {
  const { width } = form;
  if (width === null) return { table, leftOut: [] };
  const needed = neededWidths(
    table.columns.map((_, index) => columnOf(table, index, form)),
    form,
  );
  needed[name] = Math.min(needed[name] ?? 1, NAME_WIDTH);
  let count = needed.length;
  const used = () => needed.slice(0, count).reduce((sum, want) => sum + want + 1, -1);
  while (count > name + 2 && used() > width) count--;
  if (count === needed.length) return { table, leftOut: [] };
  const { columns, rows } = table;
  return {
    table: { columns: columns.slice(0, count), rows: rows.map((row) => row.slice(0, count)) },
    leftOut: columns.slice(count),
  };
}

function columnWidths(columns: readonly Column[], form: TableForm): number[] {
  const { width } = form;
  const wanted = neededWidths(columns, form);
  const gaps = Math.max(columns.length - 1, 0);
  const natural = wanted.reduce((sum, want) => sum + want, gaps);
  return width === null || natural <= width ? wanted : shareWidth(wanted, width - gaps);
}

/** Returns text as a link to a URL (escape sequence OSC 8). */
export function linked(text: string, url: string): string {
  const end = own("\u001b\\");
  const start = own("\u001b]8;;");
  return `${start}${url}${end}${text}${start}${end}`;
}

/** Renders one line of a cell, padded or shortened to the width of its column. */
function printCell(line: string, cell: Cell, color: string, width: number, { terminal }: TableForm): string {
  let text = line;
  let blanks = width - displayWidth(line);
  if (blanks < 0) {
    text = ellipsize(line, width, terminal.glyphs.ellipsis);
    blanks = Math.max(width - displayWidth(text), 0);
  }
  const padding = blanks === 0 ? "" : " ".repeat(blanks);
  const shown = cell.link === undefined || !terminal.links ? text : linked(text, cell.link);
  const padded = cell.alignRight === true ? padding + shown : shown + padding;
  return color === "" ? padded : color + padded + terminal.paint.normal;
}

function colorOf({ empty, color }: Cell, { terminal }: TableForm): string {
  const name = empty === true ? "grey" : color;
  return name === undefined ? "" : terminal.paint[name];
}

/** Ends a line with a newline, without blanks before it; blanks inside colour sequences stay. */
function endLine(text: string): string {
  let end = text.length;
  while (text[end - 1] === " ") end--;
  return `${text.slice(0, end)}\n`;
}

/** Returns a table as text. */
export function renderTable(table: Table, form: TableForm): string {
  const { paint } = form.terminal;
  const columns = table.columns.map((_, index) => columnOf(table, index, form));
  const widths = columnWidths(columns, form);
  const underlinedGap = paint.underline === "" ? " " : `${paint.underline} ${paint.normal}`;
  const printHeading = ({ heading }: Column, column: number) =>
    printCell(heading.text, heading, paint.underline, widths[column] ?? 1, form);
  let printed = form.heading ? endLine(columns.map(printHeading).join(underlinedGap)) : "";
  const firstLines = columns.map(({ cells, lines }, column) => {
    const width = widths[column] ?? 1;
    const made = new Map<Cell, string>();
    for (const cell of cells) {
      const own = lines.get(cell);
      made.set(cell, printCell(own === undefined ? cell.text : (own[0] ?? ""), cell, colorOf(cell, form), width, form));
    }
    return made;
  });
  const isTall = columns.some(({ lines }) => lines.size > 0);
  // Plain loops and string concatenation: the program is too short-lived for the JIT to optimise chains of map() and
  // join().
  for (const row of table.rows) {
    let line = "";
    for (let column = 0; column < firstLines.length; column++) {
      if (column > 0) line += " ";
      line += (firstLines[column] as Map<Cell, string>).get(row[column] ?? EMPTY_CELL);
    }
    printed += endLine(line);
    if (isTall) printed += furtherLines(row, columns, widths, form);
  }
  return printed;
}

/** Renders the second and further lines of a row. */
function furtherLines(row: readonly Cell[], columns: readonly Column[], widths: readonly number[], form: TableForm) {
  const cells = columns.map(({ lines }, column) => {
    const cell = row[column] ?? EMPTY_CELL;
    return { cell, lines: lines.get(cell) ?? [] };
  });
  let printed = "";
  const height = Math.max(...cells.map(({ lines }) => lines.length));
  for (let index = 1; index < height; index++) {
    const parts = cells.map(({ cell, lines }, column) =>
      printCell(lines[index] ?? "", cell, colorOf(cell, form), widths[column] ?? 1, form),
    );
    printed += endLine(parts.join(" "));
  }
  return printed;
}
