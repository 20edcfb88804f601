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
}

function fieldOf(cell: Cell, terminal: Terminal): Field {
  const colorName = cell.empty === true ? "grey" : cell.color;
  const lines = linesOf(cell, terminal);
  return {
    lines,
    widths: lines.map(displayWidth),
    color: colorName === undefined ? "" : terminal.paint[colorName],
    alignRight: cell.alignRight === true,
    link: terminal.links ? cell.link : undefined,
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

function columnWidths(rows: readonly (readonly Field[])[], count: number, width: number | null): number[] {
  const wanted = new Array<number>(count).fill(1);
  for (const row of rows) {
    for (let column = 0; column < count; column++) {
      for (const own of row[column]?.widths ?? []) if (own > (wanted[column] ?? 1)) wanted[column] = own;
    }
  }
  const gaps = Math.max(count - 1, 0);
  const natural = wanted.reduce((sum, want) => sum + want, gaps);
  return width === null || natural <= width ? wanted : shareWidth(wanted, width - gaps);
}

/** Text that leads somewhere: OSC 8. */
function linked(text: string, url: string): string {
  return `\u001b]8;;${url}\u001b\\${text}\u001b]8;;\u001b\\`;
}

/** One printed line: the `index`-th line of each field of a row. Uncoloured blanks at its end are left out. */
function printLine(row: readonly Field[], index: number, widths: readonly number[], form: TableForm, gap: string) {
  const { paint, glyphs } = form.terminal;
  let printed = "";
  // Plain loops: a long table is printed before the engine has optimised anything.
  for (let column = 0; column < row.length; column++) {
    const { lines, widths: own, color, alignRight, link } = row[column] as Field;
    const width = widths[column] ?? 1;
    let text = lines[index] ?? "";
    let blanks = width - (own[index] ?? 0);
    if (blanks < 0) {
      text = ellipsize(text, width, glyphs.ellipsis);
      blanks = width - displayWidth(text);
    }
    const padding = blanks > 0 ? " ".repeat(blanks) : "";
    if (link !== undefined) text = linked(text, link);
    const padded = alignRight ? padding + text : text + padding;
    if (column > 0) printed += gap;
    printed += color === "" ? padded : color + padded + paint.normal;
  }
  return `${withoutBlanksAtEnd(printed)}\n`;
}

function withoutBlanksAtEnd(text: string): string {
  let end = text.length;
  while (text[end - 1] === " ") end--;
  return text.slice(0, end);
}

/** A table as text, with its line ends. */
export function renderTable(table: Table, form: TableForm): string {
  const { paint } = form.terminal;
  const known = new Map<Cell, Field>();
  const rows: Field[][] = [];
  for (const cells of table.rows) {
    const row: Field[] = [];
    for (const cell of cells) {
      let field = known.get(cell);
      if (field === undefined) {
        field = fieldOf(cell, form.terminal);
        known.set(cell, field);
      }
      row.push(field);
    }
    rows.push(row);
  }
  const heading = table.columns.map((name, column) => ({
    lines: [name.toUpperCase()],
    widths: [displayWidth(name)],
    color: paint.underline,
    alignRight: rows[0]?.[column]?.alignRight ?? false,
  }));
  const widths = columnWidths(form.heading ? [heading, ...rows] : rows, table.columns.length, form.width);
  const underlinedGap = paint.underline === "" ? " " : `${paint.underline} ${paint.normal}`;
  const printed = form.heading ? [printLine(heading, 0, widths, form, underlinedGap)] : [];
  for (const row of rows) {
    let height = 1;
    for (const { lines } of row) if (lines.length > height) height = lines.length;
    for (let index = 0; index < height; index++) printed.push(printLine(row, index, widths, form, " "));
  }
  return printed.join("");
}
