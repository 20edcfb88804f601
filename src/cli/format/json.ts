// JSON as the systemd tools print it: one line, or indented with tabs and `"key" : value`; coloured on a terminal.
// Own writer, because 64-bit integers arrive as bigint and must leave as plain numbers.
import { own } from "./own-sequence.ts";
import type { Paint } from "./terminal.ts";

/** Anything that can be written as JSON; a bigint becomes a plain number of any size. */
export type Json = string | number | bigint | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** How a document is laid out and framed: one line, indented, RFC 7464 text sequence, or server-sent event. */
export type JsonMode = "short" | "pretty" | "seq" | "sse";

const FRAME: Readonly<Record<JsonMode, readonly [before: string, after: string]>> = {
  short: ["", "\n"],
  pretty: ["", "\n"],
  seq: [own("\u001e"), "\n"],
  sse: ["data: ", "\n\n"],
};

function text(value: string, paint: Paint): string {
  const quoted = JSON.stringify(value);
  return paint.green === "" ? quoted : `"${paint.green}${quoted.slice(1, -1)}${paint.normal}"`;
}

function scalar(value: string | number | bigint | boolean | null, paint: Paint): string {
  if (typeof value === "string") return text(value, paint);
  if (typeof value === "number" || typeof value === "bigint") {
    return `${paint.brightBlue}${String(value)}${paint.normal}`;
  }
  return `${paint.bright}${String(value)}${paint.normal}`;
}

function isList(value: Json): value is readonly Json[] {
  return Array.isArray(value);
}

/** The members of an array or object in written form, without separators. */
function members(value: readonly Json[] | { readonly [key: string]: Json }, paint: Paint, indent: string | null) {
  const inner = indent === null ? null : `${indent}\t`;
  if (isList(value)) return value.map((item) => element(item, paint, inner));
  const colon = indent === null ? ":" : " : ";
  return Object.entries(value).map(([key, item]) => `${text(key, paint)}${colon}${element(item, paint, inner)}`);
}

function element(value: Json, paint: Paint, indent: string | null): string {
  if (typeof value !== "object" || value === null) return scalar(value, paint);
  const [open, close] = isList(value) ? ["[", "]"] : ["{", "}"];
  const parts = members(value, paint, indent);
  if (parts.length === 0) return open + close;
  if (indent === null) return open + parts.join(",") + close;
  return `${open}\n${parts.map((part) => `${indent}\t${part}`).join(",\n")}\n${indent}${close}`;
}

/** One JSON document, framed and with its line end. `paint` holds the colours; empty strings for none. */
export function formatJson(value: Json, mode: JsonMode, paint: Paint): string {
  const [before, after] = FRAME[mode];
  return before + element(value, paint, mode === "pretty" ? "" : null) + after;
}
