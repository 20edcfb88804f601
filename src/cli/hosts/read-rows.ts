// Parses the list that the run for one host printed. That of `stats` was printed by the other host, which is not
// trusted.
import type { Json } from "../format/json.ts";
import { parseJson } from "../format/parse-json.ts";
import type { Cell } from "../format/table.ts";
import type { Paint } from "../format/terminal.ts";
import type { PrintedRows } from "../list/print.ts";

type JsonObject = { readonly [key: string]: Json };

function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isTexts(value: Json | undefined): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === "string");
}

/** Returns a cell with the known members only; throws a TypeError for an invalid one. */
function cellOf(value: Json, paint: Paint): Cell {
  if (!isObject(value) || typeof value["text"] !== "string") throw new TypeError("no cell");
  const { text, json = null, list, empty, lines, alignRight, color } = value;
  return {
    text: text as string,
    json,
    ...(isTexts(list) ? { list } : {}),
    ...(empty === true ? { empty } : {}),
    ...(typeof lines === "number" && Number.isSafeInteger(lines) && lines >= 0 ? { lines } : {}),
    ...(alignRight === true ? { alignRight } : {}),
    ...(typeof color === "string" && Object.hasOwn(paint, color) ? { color: color as keyof Paint } : {}),
  };
}

function cellsOf(value: Json | undefined, count: number, paint: Paint): Cell[] {
  if (!Array.isArray(value) || value.length !== count) throw new TypeError("no cells");
  return value.map((cell: Json) => cellOf(cell, paint));
}

/** Returns the list; null for a text that is no list. */
export function readRows(text: string, paint: Paint): PrintedRows | null {
  try {
    const value = parseJson(text);
    if (!isObject(value)) return null;
    const { columns, noun, descending, rows } = value;
    if (!isTexts(columns) || typeof noun !== "string" || !Array.isArray(descending) || !Array.isArray(rows))
      return null;
    const read = rows.map((row: Json) => {
      if (!isObject(row) || !isObject(row["json"])) throw new TypeError("no row");
      const cells = cellsOf(row["cells"], columns.length, paint);
      return { cells, keys: cellsOf(row["keys"], descending.length, paint), json: row["json"] };
    });
    return { columns, noun, descending: descending.map((item: Json) => item === true), rows: read };
  } catch {
    return null;
  }
}
