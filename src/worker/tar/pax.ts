// Extended headers of tar archives (pax(1), "pax Extended Header"): records of "LENGTH KEY=VALUE\n". An invalid record
// is an error, because programs that skip such records disagree on where the next member begins.
import type { RawName } from "../../kernel/tree/tree.ts";
import { damaged } from "../stream/feed.ts";

/** Values by key, undecoded. */
export type PaxRecords = Map<string, Buffer>;

/** The size limit of all extended headers of one member together, in bytes. */
export const EXTENDED_LIMIT = 4 << 20;
const RECORD_LIMIT = 1 << 20;
const LENGTH_DIGITS = 8;

/** Keys that GNU's sparse format 0.0 repeats: their values are joined to `GNU.sparse.map`, as in format 0.1. */
const REPEATED: ReadonlySet<string> = new Set(["GNU.sparse.offset", "GNU.sparse.numbytes"]);

/** Parses an extended header into `records`, replacing earlier values. Throws EBADMSG for an invalid one. */
export function readPax(content: Buffer, records: PaxRecords): void {
  let pairs = "";
  for (let at = 0; at < content.length; ) {
    const space = content.indexOf(0x20, at);
    const digits = space < 0 || space > at + LENGTH_DIGITS ? "" : content.toString("latin1", at, space);
    if (!/^[1-9][0-9]*$/.test(digits)) throw damaged("extended header without length");
    const end = at + Number(digits);
    if (end > content.length || Number(digits) > RECORD_LIMIT || content[end - 1] !== 0x0a) {
      throw damaged("extended header with wrong length");
    }
    const equals = content.indexOf(0x3d, space);
    if (equals < 0 || equals >= end || equals === space + 1) throw damaged("extended header without key");
    const key = content.toString("latin1", space + 1, equals);
    const value = Buffer.from(content.subarray(equals + 1, end - 1));
    if (REPEATED.has(key)) pairs += `${pairs === "" ? "" : ","}${value.toString("latin1")}`;
    else records.set(key, value);
    at = end;
  }
  if (pairs !== "") records.set("GNU.sparse.map", Buffer.from(pairs));
}

/**
 * Returns a value as a raw name; null where the key is missing or empty. Throws EBADMSG for a NUL byte, which would end
 * the name.
 */
export function paxName(records: PaxRecords, key: string): RawName | null {
  const value = records.get(key);
  if (value === undefined || value.length === 0) return null;
  if (value.includes(0)) throw damaged(`NUL in ${key}`);
  return value.toString("latin1");
}

/** Returns a value as an integer; null where the key is missing or empty. Throws EBADMSG for other values. */
export function paxNumber(records: PaxRecords, key: string): number | null {
  const text = records.get(key)?.toString("latin1");
  if (text === undefined || text === "") return null;
  const value = Number(text);
  if (!/^-?\d{1,16}$/.test(text) || !Number.isSafeInteger(value)) throw damaged(`bad number in ${key}`);
  return value;
}

export interface PaxTime {
  readonly seconds: number;
  readonly nanoseconds: number;
}

/** The seconds that a time beyond 2^53 becomes: no file system has it, and the kernel takes the nearest that it has. */
export const TIME_MAX = Number.MAX_SAFE_INTEGER;

/** Returns a value as a time; null where the key is missing or empty. Throws EBADMSG for an invalid one. */
export function paxTime(records: PaxRecords, key: string): PaxTime | null {
  const text = records.get(key)?.toString("latin1");
  if (text === undefined || text === "") return null;
  const match = /^(-?)(\d+)(?:\.(\d*))?$/.exec(text);
  if (match === null) throw damaged(`bad time in ${key}`);
  const [, sign, whole, fraction = ""] = match;
  const nanoseconds = Number(fraction.slice(0, 9).padEnd(9, "0"));
  const seconds = Math.min(Number(whole), TIME_MAX);
  if (sign === "") return { seconds, nanoseconds };
  // Before 1970 the fraction is negative; the kernel's nanoseconds never are.
  return nanoseconds === 0
    ? { seconds: -seconds, nanoseconds }
    : { seconds: -seconds - 1, nanoseconds: 1e9 - nanoseconds };
}

const SCHILY_XATTR = "SCHILY.xattr.";
const LIBARCHIVE_XATTR = "LIBARCHIVE.xattr.";

/** Returns the extended attributes of a member by name; null where it has none. */
export function paxAttributes(records: PaxRecords): Map<string, Buffer> | null {
  const attributes = new Map<string, Buffer>();
  for (const [key, value] of records) {
    if (key.startsWith(LIBARCHIVE_XATTR)) {
      const name = percentDecode(key.slice(LIBARCHIVE_XATTR.length));
      attributes.set(name, Buffer.from(value.toString("latin1"), "base64"));
    }
  }
  for (const [key, value] of records) {
    if (key.startsWith(SCHILY_XATTR)) {
      const name = key.slice(SCHILY_XATTR.length);
      // libarchive writes each attribute with both keys, and percent-encodes the name in both.
      if (!attributes.has(percentDecode(name))) attributes.set(keyDecode(name), value);
    }
    if (key === "RHT.security.selinux") attributes.set("security.selinux", value);
  }
  return attributes.size === 0 ? null : attributes;
}

/** Decodes a name as GNU tar encodes it: "=", which would end the key, and the percent sign. */
function keyDecode(name: string): string {
  return name.replace(/%(3D|25)/g, (_, hex: string) => (hex === "25" ? "%" : "="));
}

/** Returns the key for an attribute. */
export function paxAttributeKey(name: string): string {
  return SCHILY_XATTR + name.replace(/[%=]/g, (letter) => (letter === "%" ? "%25" : "%3D"));
}

function percentDecode(text: string): string {
  return text.replace(/%([0-9A-Fa-f]{2})/g, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)));
}
