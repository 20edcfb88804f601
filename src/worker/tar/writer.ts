// Encodes headers of tar archives: ustar, with a pax extended header for values that do not fit.
import { type RawName, textOf } from "../../kernel/tree/tree.ts";
import { BLOCK, headerSum } from "./header.ts";

export interface MemberHeader {
  readonly path: RawName;
  readonly type: "0" | "1" | "2" | "3" | "4" | "5" | "6";
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** The number of bytes of data that follow. */
  readonly size: number;
  readonly seconds: bigint;
  readonly nanoseconds: number;
  readonly target: RawName;
  readonly major: number;
  readonly minor: number;
  /** Additional records of the extended header. */
  readonly records: readonly (readonly [key: string, value: Buffer])[];
}

const NAME_SIZE = 100;
const ID_MAX = 0o7777777;
const SIZE_MAX = 0o77777777777;
const PAX_NAME = "././@PaxHeader";

/** Returns the header blocks of a member, with a preceding extended header if needed. */
export function memberHeader(member: MemberHeader): Buffer {
  const records = [...extension(member), ...member.records];
  const plain = plainHeader(member);
  if (records.length === 0) return plain;
  const content = Buffer.concat(records.map(([key, value]) => paxRecord(key, value)));
  const header = plainHeader({ ...EXTENSION, size: content.length });
  header.write("x", 156, "latin1");
  putSum(header);
  return Buffer.concat([header, content, padding(content.length), plain]);
}

/** The header of an empty regular file, as a template. */
export const EMPTY_MEMBER: MemberHeader = {
  path: "",
  type: "0",
  mode: 0,
  uid: 0,
  gid: 0,
  size: 0,
  seconds: 0n,
  nanoseconds: 0,
  target: "",
  major: 0,
  minor: 0,
  records: [],
};

const EXTENSION: MemberHeader = { ...EMPTY_MEMBER, path: PAX_NAME, mode: 0o644 };

/** Returns the records of an extended header for values that do not fit a ustar header. */
function extension(member: MemberHeader): [string, Buffer][] {
  const records: [string, Buffer][] = [];
  const names = (
    [
      ["path", member.path],
      ["linkpath", member.target],
    ] as const
  ).filter(([, name]) => needsRecord(name));
  // Before all names, to which it applies.
  if (names.some(([, name]) => !isText(name))) records.push(["hdrcharset", Buffer.from("BINARY")]);
  for (const [key, name] of names) records.push([key, Buffer.from(name, "latin1")]);
  const addNumber = (key: string, value: number, most: number) => {
    if (value > most) records.push([key, Buffer.from(String(value))]);
  };
  addNumber("size", member.size, SIZE_MAX);
  addNumber("uid", member.uid, ID_MAX);
  addNumber("gid", member.gid, ID_MAX);
  if (member.nanoseconds !== 0 || member.seconds < 0n || member.seconds > BigInt(SIZE_MAX)) {
    records.push(["mtime", Buffer.from(timeText(member.seconds, member.nanoseconds))]);
  }
  return records;
}

function needsRecord(name: RawName): boolean {
  return name.length > NAME_SIZE || !isAscii(name);
}

function isAscii(name: RawName): boolean {
  for (let i = 0; i < name.length; i++) if (name.charCodeAt(i) > 126) return false;
  return true;
}

/** Whether the bytes of a name are UTF-8, the default encoding of pax headers. */
function isText(name: RawName): boolean {
  return Buffer.from(textOf(name)).toString("latin1") === name;
}

function timeText(seconds: bigint, nanoseconds: number): string {
  // The kernel's nanoseconds are never negative, also before 1970; the fraction of a decimal number is.
  const total = seconds * 1_000_000_000n + BigInt(nanoseconds);
  const [sign, size] = total < 0n ? ["-", -total] : ["", total];
  const fraction = String(size % 1_000_000_000n)
    .padStart(9, "0")
    .replace(/0+$/, "");
  return `${sign}${size / 1_000_000_000n}${fraction === "" ? "" : `.${fraction}`}`;
}

/** Returns "LENGTH KEY=VALUE\n", where LENGTH includes its own digits. */
function paxRecord(key: string, value: Buffer): Buffer {
  const rest = Buffer.concat([Buffer.from(` ${key}=`, "latin1"), value, Buffer.from("\n")]);
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return Buffer.concat([Buffer.from(String(length)), rest]);
}

/** Returns the zeros that fill up data of `size` bytes to a whole block. */
export function padding(size: number): Buffer {
  return ZEROS.subarray(0, (BLOCK - (size % BLOCK)) % BLOCK);
}

const ZEROS = Buffer.alloc(2 * BLOCK);

/** The end mark of an archive: two zero blocks. */
export const END_MARK = ZEROS;

function plainHeader(member: MemberHeader): Buffer {
  const header = Buffer.alloc(BLOCK);
  header.write(member.path.slice(0, NAME_SIZE), 0, "latin1");
  octal(header, 100, 8, member.mode);
  octal(header, 108, 8, member.uid > ID_MAX ? 0 : member.uid);
  octal(header, 116, 8, member.gid > ID_MAX ? 0 : member.gid);
  octal(header, 124, 12, member.size > SIZE_MAX ? 0 : member.size);
  octal(header, 136, 12, member.seconds < 0n || member.seconds > BigInt(SIZE_MAX) ? 0 : Number(member.seconds));
  header.write(member.type, 156, "latin1");
  header.write(member.target.slice(0, NAME_SIZE), 157, "latin1");
  header.write("ustar\x0000", 257, "latin1");
  octal(header, 329, 8, member.major);
  octal(header, 337, 8, member.minor);
  putSum(header);
  return header;
}

function octal(header: Buffer, at: number, size: number, value: number): void {
  header.write(value.toString(8).padStart(size - 1, "0"), at, "latin1");
}

function putSum(header: Buffer): void {
  const sum = headerSum(header);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148, "latin1");
}
