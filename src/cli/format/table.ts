// Tables as the systemd tools print them: upper-case headings, one blank between columns, cut to the terminal's width
// with an ellipsis, or the same data as a JSON array of objects.
import { onOneLine } from "../../base/control-characters.ts";
import { displayWidth, ellipsize } from "../../base/format.ts";
import type { Json } from "./json.ts";
import { own } from "./own-sequence.ts";
import type { Paint, Terminal } from "./terminal.ts";

/** One field of a table. */
export interface Cell {
  /** What is printed; may have several lines. The empty string of an `empty` cell is printed as a grey dash. */
  readonly text: string;
  readonly json: Json;
  /** The values of a cell that has several; `json` and `text` have them as lines. */
  readonly list?: readonly string[];
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

interface TableForm {
  readonly terminal: Terminal;
  readonly heading: boolean;
  /** The width to keep to; null: as wide as the data. */
  readonly width: number | null;
}

const EMPTY_CELL: Cell = { text: "-", json: null, empty: true };
/** In long lists most texts come many times. */
const KNOWN_CELLS = 4096;
const known = new Map<string, Cell>([["", EMPTY_CELL]]);

/** A cell of plain text, on one line; the empty string counts as having no value. */
export function textCell(text: string): Cell {
  const found = known.get(text);
  if (found !== undefined) return found;
  const cell = { text: onOneLine(text), json: text };
  if (known.size < KNOWN_CELLS) known.set(text, cell);
  return cell;
}

/** A table as JSON: an array with one object for each row. */
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

/** One column on its way to the page. Cells that are one object are looked at once. */
interface Column {
  readonly heading: Cell;
  readonly cells: ReadonlySet<Cell>;
  /** The lines of cells that have several, or none. */
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

function columnWidths(columns: readonly Column[], { heading, width }: TableForm): number[] {
  const wanted = columns.map((column) => {
    let most = heading ? displayWidth(column.heading.text) : 1;
    for (const cell of column.cells) {
      const own = column.lines.has(cell) ? 0 : displayWidth(cell.text);
      if (own > most) most = own;
    }
    for (const lines of column.lines.values()) most = Math.max(most, ...lines.map(displayWidth));
    return most;
  });
  const gaps = Math.max(columns.length - 1, 0);
  const natural = wanted.reduce((sum, want) => sum + want, gaps);
  return width === null || natural <= width ? wanted : shareWidth(wanted, width - gaps);
}

const LINK_START_END = own("\u001b\\");
const LINK_END = own("\u001b]8;;\u001b\\");

/** Text that leads somewhere: OSC 8. */
function linked(text: string, url: string): string {
  return `${own("\u001b]8;;")}${url}${LINK_START_END}${text}${LINK_END}`;
}

/** One line of a cell as it is printed in a column of that width. */
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
  // Plain loops: a long table is printed before the engine has optimised anything.
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

/** The lines of a row behind its first. */
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
