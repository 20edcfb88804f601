// The interface language of Varlink: checking parameters against a declared type, and printing an interface as text
// (https://varlink.org/Interface-Definition).

import type { VarlinkFields, VarlinkInterface } from "../../api/varlink-table.ts";
import { invalidArgument } from "../../base/error.ts";
import type { JsonObject, JsonValue } from "../../base/text/json.ts";

/**
 * Checks the parameters of a call. null counts as absent. Throws InvalidParameter with the name of the first field that
 * is missing, unknown or of another type; returns an object with the present fields.
 */
export function checkFields(table: VarlinkInterface, fields: VarlinkFields, parameters: JsonObject): JsonObject {
  const checked: JsonObject = Object.create(null);
  for (const key in parameters) {
    const type = Object.hasOwn(fields, key) ? fields[key] : undefined;
    const value = parameters[key] as JsonValue;
    if (type === undefined || !fits(table, type, value)) throw invalidParameter(key);
    if (value !== null) checked[key] = value;
  }
  for (const key in fields) if (fields[key]?.[0] !== "?" && !(key in checked)) throw invalidParameter(key);
  return checked;
}

/** The error of a bad parameter on Varlink. */
export function invalidParameter(key: string): Error {
  return invalidArgument(key, `Invalid parameter '${key}'`);
}

const DIGITS = /^-?\d{1,20}$/;

function fits(table: VarlinkInterface, type: string, value: JsonValue): boolean {
  if (type[0] === "?") return value === null || fits(table, type.slice(1), value);
  if (type.startsWith("[]")) return Array.isArray(value) && value.every((item) => fits(table, type.slice(2), item));
  switch (type) {
    case "bool":
      return typeof value === "boolean";
    case "int":
      return isInteger(value);
    case "float":
      return typeof value === "number" || typeof value === "bigint";
    case "string":
      return typeof value === "string";
    case "object":
      return isObject(value);
    default:
      return fitsNamed(table, type, value);
  }
}

/** Whether a value is an integer, or the text of one: some JSON libraries send integers of 64 bits as text. */
function isInteger(value: JsonValue): boolean {
  return typeof value === "bigint" || Number.isInteger(value) || (typeof value === "string" && DIGITS.test(value));
}

function isObject(value: JsonValue): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function fitsNamed(table: VarlinkInterface, name: string, value: JsonValue): boolean {
  const type = table.types[name];
  if (type === undefined) return false;
  if (Array.isArray(type)) return type.includes(value);
  // A process may be given by its number alone.
  if (name === "ProcessId" && isInteger(value)) return true;
  if (!isObject(value)) return false;
  try {
    checkFields(table, type as VarlinkFields, value);
    return true;
  } catch {
    return false;
  }
}

/** Returns the interface as text, with a comment in front of each of its parts. */
export function describeInterface(table: VarlinkInterface): string {
  const { notes } = table;
  const parts = [`# ${table.doc}\ninterface ${table.name}`];
  for (const [name, type] of Object.entries(table.types)) {
    const rows = Array.isArray(type) ? (type as readonly string[]).map((value) => [value, ""] as const) : entries(type);
    parts.push(`${comment(notes.types?.[name])}type ${name} ${listed(table, name, rows)}`);
  }
  for (const [name, { in: input, out, more, doc }] of Object.entries(table.methods)) {
    const flag = more === undefined ? "" : `# [${more === "required" ? "Requires" : "Supports"} 'more' flag]\n`;
    const [given, answered] = [input, out].map((fields) => listed(table, name, entries(fields)));
    parts.push(`# ${doc}\n${flag}method ${name}${given} -> ${answered}`);
  }
  for (const [name, fields] of Object.entries(table.errors)) {
    parts.push(`${comment(notes.errors[name])}error ${name} ${listed(table, name, entries(fields))}`);
  }
  return `${parts.join("\n\n")}\n`;
}

type Row = readonly [name: string, type: string];

function entries(fields: VarlinkFields | readonly string[]): Row[] {
  return Object.entries(fields as VarlinkFields);
}

function comment(text: string | undefined, indent = ""): string {
  return text === undefined ? "" : `${indent}# ${text}\n`;
}

/** Fields or, where the type is empty, values of an enumeration. */
function listed({ notes }: VarlinkInterface, owner: string, rows: readonly Row[]): string {
  if (rows.length === 0) return "()";
  const lines = rows.map(([name, type]) => {
    const note = notes.fields[`${owner}.${name}`] ?? notes.fields[name];
    return `${comment(note, "\t")}\t${name}${type === "" ? "" : `: ${type}`}`;
  });
  return `(\n${lines.join(",\n")}\n)`;
}
