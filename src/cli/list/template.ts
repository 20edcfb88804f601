// `--template=`: a line of text for each row of a list, with values in it: `{{name}} {{addresses.0}}`.
import { onOneLine } from "../../base/control-characters.ts";
import type { Cell } from "../format/table.ts";
import { Failure } from "../session/failure.ts";
import type { Column } from "./column.ts";
import { findColumn } from "./find-column.ts";

/** A text, or a value: all of a column, or the one at a place in its list. */
type Part<C> = string | { readonly column: C; readonly index: number | null };

export interface Template<C> {
  readonly parts: readonly Part<C>[];
  /** The columns in it, each once. */
  readonly columns: readonly C[];
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", t: "\t", "\\": "\\" };

function unescaped(text: string): string {
  return text.replace(/\\(.)/gs, (whole, letter: string) => ESCAPES[letter] ?? whole);
}

function valuePart<Row, Need extends string>(
  text: string,
  columns: readonly Column<Row, Need>[],
): Part<Column<Row, Need>> {
  const [, name = "", index] = /^(.*?)(?:\.(\d+))?$/s.exec(text.trim()) ?? [];
  const column = findColumn(columns, name, "--template=");
  if (index !== undefined && column.type !== "list") {
    throw new Failure(`Column '${column.key}' of --template= has one value, and none at place ${index}`);
  }
  return { column, index: index === undefined ? null : Number(index) };
}

/** Reads a template. Throws a Failure for an unknown column and for braces that are not closed. */
export function parseTemplate<Row, Need extends string>(
  text: string,
  columns: readonly Column<Row, Need>[],
): Template<Column<Row, Need>> {
  const parts: Part<Column<Row, Need>>[] = [];
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

/** What a template shows of a cell: the value as in JSON, nothing where there is none, several separated by blanks. */
function valueText({ json, list }: Cell, index: number | null): string {
  if (index !== null) return list?.[index] ?? "";
  if (list !== undefined) return list.join(" ");
  return json === null ? "" : String(json);
}

/** The line of one row, with its line end. */
export function renderTemplate<C>({ parts }: Template<C>, cellOf: (column: C) => Cell): string {
  const texts = parts.map((part) =>
    typeof part === "string" ? part : onOneLine(valueText(cellOf(part.column), part.index)),
  );
  return `${texts.join("")}\n`;
}
