// Writes JSON in the layouts of the systemd tools: on one line, or indented with tabs and `"key" : value`; coloured on
// a terminal. JSON.stringify() cannot be used: it refuses bigint, which 64-bit integers are here.
import { jsonWithoutControls } from "../../base/text/control-characters.ts";
import { own } from "./own-sequence.ts";
import type { Paint } from "./terminal.ts";

/** A value that can be written as JSON; a bigint is written as a number of any size. */
export type Json = string | number | bigint | boolean | null | readonly Json[] | { readonly [key: string]: Json };

/** The layout and framing of a document: one line, indented, RFC 7464 text sequence, or server-sent event. */
export type JsonMode = "short" | "pretty" | "seq" | "sse";

const FRAME: Readonly<Record<JsonMode, readonly [before: string, after: string]>> = {
  short: ["", "\n"],
  pretty: ["", "\n"],
  seq: ["\u001e", "\n"],
  sse: ["data: ", "\n\n"],
};

function text(value: string, paint: Paint): string {
  const quoted = jsonWithoutControls(JSON.stringify(value));
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

/** Returns the members of an array or object as text, one string each, without separators. */
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

/**
 * Returns one JSON document with the framing of its mode, which ends with a newline. `paint` is NO_PAINT for no
 * colours.
 */
export function formatJson(value: Json, mode: JsonMode, paint: Paint): string {
  const [before, after] = FRAME[mode];
  return own(before) + element(value, paint, mode === "pretty" ? "" : null) + after;
}
