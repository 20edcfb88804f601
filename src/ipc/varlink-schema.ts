// The interface language of Varlink: checking parameters against a declared type, and printing an interface as text
// (https://varlink.org/Interface-Definition).

import type { VarlinkFields, VarlinkInterface } from "../api/varlink-table.ts";
import { invalidArgument } from "../base/error.ts";
import type { JsonObject, JsonValue } from "../base/json.ts";

/**
 * Checks the parameters of a call. null counts as absent. Throws InvalidParameter naming the first field that is
 * missing, unknown or of another type; gives an object with what is there.
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

/** Integers may come as text: not every JSON library has 64 bits. */
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
  // A process may be named by its number alone.
  if (name === "ProcessId" && isInteger(value)) return true;
  if (!isObject(value)) return false;
  try {
    checkFields(table, type as VarlinkFields, value);
    return true;
  } catch {
    return false;
  }
}

/** The interface as text, documentation as comments in front of what it is about. */
export function describeInterface(table: VarlinkInterface): string {
  const parts = [`# ${table.doc}\ninterface ${table.name}`];
  for (const [name, type] of Object.entries(table.types)) {
    const body = Array.isArray(type) ? enumeration(type) : structure(type as VarlinkFields);
    parts.push(`type ${name} ${body}`);
  }
  for (const [name, { in: input, out, more, doc }] of Object.entries(table.methods)) {
    const flag = more === undefined ? "" : `# [${more === "required" ? "Requires" : "Supports"} 'more' flag]\n`;
    parts.push(`# ${doc}\n${flag}method ${name}${structure(input)} -> ${structure(out)}`);
  }
  for (const [name, fields] of Object.entries(table.errors)) parts.push(`error ${name} ${structure(fields)}`);
  return `${parts.join("\n\n")}\n`;
}

function structure(fields: VarlinkFields): string {
  const rows = Object.entries(fields).map(([name, type]) => `\t${name}: ${type}`);
  return rows.length === 0 ? "()" : `(\n${rows.join(",\n")}\n)`;
}

function enumeration(values: readonly string[]): string {
  return `(\n${values.map((value) => `\t${value}`).join(",\n")}\n)`;
}
