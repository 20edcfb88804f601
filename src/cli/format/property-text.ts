// Formats properties for `show` (systemctl(1), "show"). The D-Bus type decides the form; for numbers also the name: one
// that ends with `Timestamp` is a time, one that contains `USec` is a time span.
import { formatSpan, formatTimestamp, UINT64_MAX, type Zone } from "../../base/text/format.ts";
import type { Json } from "./json.ts";

/** A property value with its D-Bus type. */
export interface TypedValue {
  readonly signature: string;
  readonly value: unknown;
}

const UINT32_MAX = 0xffff_ffff;

const ESCAPED = /["\\`$]/g;
/** As the service manager decides: an option such as `--machine=web` is not quoted. */
const NEEDS_QUOTES = /[\s\p{Cc}"'\\`$*?[&|;<>()!]/u;

/** Quotes a word in the form of the service manager. It is for people: a shell may take it for something else. */
export function shellWord(word: string): string {
  if (word === "") return '""';
  return NEEDS_QUOTES.test(word) ? `"${word.replace(ESCAPED, "\\$&")}"` : word;
}

function unsigned32(name: string, value: number): string {
  if ((name === "UID" || name === "GID") && value === UINT32_MAX) return "[not set]";
  return name.includes("Mode") || name.includes("UMask") ? value.toString(8).padStart(4, "0") : String(value);
}

function unsigned64(name: string, value: bigint, zone: Zone): string {
  if (name.endsWith("Timestamp")) return formatTimestamp(value, zone);
  if (name.includes("USec")) return formatSpan(value);
  if (name.startsWith("Limit") && value === UINT64_MAX) return "infinity";
  return String(value);
}

/** Returns a value as text. Null for types without a text form; the empty string for a value that is not set. */
export function propertyText(name: string, { signature, value }: TypedValue, zone: Zone): string | null {
  if (signature === "ay" && value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (signature === "as" && Array.isArray(value)) return value.map(String).map(shellWord).join(" ");
  if (signature === "au" && Array.isArray(value)) {
    return value.map((number) => Number(number).toString(16).padStart(8, "0")).join(" ");
  }
  if (signature.length !== 1) return null;
  if (typeof value === "string") return value.includes("\n") ? "[unprintable]" : value;
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "bigint") return signature === "t" ? unsigned64(name, value, zone) : String(value);
  if (typeof value !== "number") return null;
  if (signature === "u") return unsigned32(name, value);
  return signature === "d" ? String(Number(value.toPrecision(6))) : String(value);
}

/** Returns any D-Bus value as JSON: byte arrays in hex, dictionaries as objects, variants as the value in them. */
export function propertyJson(value: unknown): Json {
  if (value === null || value === undefined) return null;
  if (typeof value === "string" || typeof value === "number" || typeof value === "boolean") return value;
  if (typeof value === "bigint") return value;
  if (value instanceof Uint8Array) return Buffer.from(value).toString("hex");
  if (Array.isArray(value)) return value.map(propertyJson);
  if (value instanceof Map) {
    return Object.fromEntries([...value].map(([key, item]) => [String(key), propertyJson(item)]));
  }
  return typeof value === "object" && "signature" in value && "value" in value ? propertyJson(value.value) : null;
}
