// `--template=`: prints a line of text for each row of a list, with values of columns: `{{name}} {{addresses.0}}`.
import { onOneLine } from "../../base/text/control-characters.ts";
import type { ColumnRow } from "../command-line/verb-row.ts";
import type { Cell } from "../format/table.ts";
import { Failure } from "../session/failure.ts";
import { findColumn } from "./find-column.ts";

/** A text, or a column's value; `index` selects one value of a list, counted from 0. */
type Part<C> = string | { readonly column: C; readonly index: number | null };

/** A parsed `--template=`. */
export interface Template<C> {
  readonly parts: readonly Part<C>[];
  /** The columns that the parts use, each once. */
  readonly columns: readonly C[];
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", "\\": "\\" };

function unescaped(text: string): string {
  return text.replace(/\\(.)/gs, (whole, letter: string) => ESCAPES[letter] ?? whole);
}

function valuePart<C extends ColumnRow>(text: string, columns: readonly C[]): Part<C> {
  const [, name = "", index] = /^(.*?)(?:\.(\d+))?$/s.exec(text.trim()) ?? [];
  const column = findColumn(columns, name, "--template=");
  if (index !== undefined && column.type !== "list") {
    throw new Failure(`Column '${column.key}' of --template= has a single value: leave out the index '.${index}'`);
  }
  return { column, index: index === undefined ? null : Number(index) };
}

/**
 * Parses a template. Throws a Failure for an unknown column, an index of a column without a list, and unclosed braces.
 */
export function parseTemplate<C extends ColumnRow>(text: string, columns: readonly C[]): Template<C> {
  const parts: Part<C>[] = [];
  let rest = text;
  for (let open = rest.indexOf("{{"); open >= 0; open = rest.indexOf("{{")) {
    const close = rest.indexOf("}}", open);
    if (close < 0) throw new Failure(`'{{' is not closed in --template=: ${rest.slice(open)}`);
    parts.push(unescaped(rest.slice(0, open)), valuePart(rest.slice(open + 2, close), columns));
    rest = rest.slice(close + 2);
  }
  parts.push(unescaped(rest));
  return { parts, columns: [...new Set(parts.flatMap((part) => (typeof part === "string" ? [] : [part.column])))] };
}

/**
 * Returns a cell's value for a template: as in JSON, several separated by blanks, or the empty string if it has none.
 */
function valueText({ json, list }: Cell, index: number | null): string {
  if (index !== null) return list?.[index] ?? "";
  if (list !== undefined) return list.join(" ");
  return json === null ? "" : String(json);
}

/** Returns the line for one row; `cellOf` returns the row's cell in a column. */
export function renderTemplate<C>({ parts }: Template<C>, cellOf: (column: C) => Cell): string {
  const texts = parts.map((part) =>
    typeof part === "string" ? part : onOneLine(valueText(cellOf(part.column), part.index)),
  );
  return `${texts.join("")}\n`;
}
