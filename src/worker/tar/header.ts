// The 512-byte header blocks of tar archives: ustar, GNU and V7. See tar(5), "The GNU tar manual, Basic Tar Format".
import type { RawName } from "../../kernel/tree/tree.ts";
import { damaged } from "../stream/feed.ts";

export const BLOCK = 512;

export interface TarHeader {
  /** One character, as it stands in the header; "0" for the NUL of old archives. */
  readonly type: string;
  readonly name: RawName;
  readonly linkName: RawName;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly size: number;
  readonly seconds: number;
  readonly major: number;
  readonly minor: number;
}

const ZERO_BLOCK = Buffer.alloc(BLOCK);

export function isZeroBlock(block: Buffer): boolean {
  return block[0] === 0 && block.equals(ZERO_BLOCK);
}

const CHECKSUM_AT = 148;
const CHECKSUM_SIZE = 8;
const SPACE = 0x20;

/** The sum over the header, with spaces for the sum itself. */
export function headerSum(block: Buffer): number {
  let sum = CHECKSUM_SIZE * SPACE;
  for (let at = 0; at < CHECKSUM_AT; at++) sum += block[at] as number;
  for (let at = CHECKSUM_AT + CHECKSUM_SIZE; at < BLOCK; at++) sum += block[at] as number;
  return sum;
}

/** The difference in the sum of old programs, which took bytes for signed numbers. */
function signedLack(block: Buffer): number {
  const inSum = (_: number, at: number) => at < CHECKSUM_AT || at >= CHECKSUM_AT + CHECKSUM_SIZE;
  return 256 * block.subarray(0, BLOCK).filter((byte, at) => byte > 127 && inSum(byte, at)).length;
}

/** Whether the checksum of a block is right. */
export function hasValidSum(block: Buffer): boolean {
  const text = block
    .toString("latin1", CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_SIZE)
    .replace(/[\0 ]+$/, "")
    .trimStart();
  if (!/^[0-7]+$/.test(text)) return false;
  const told = Number.parseInt(text, 8);
  const sum = headerSum(block);
  return told === sum || told === sum - signedLack(block);
}

/** Parses a header whose sum is right. Throws EBADMSG for invalid numbers. */
export function parseHeader(block: Buffer): TarHeader {
  const isUstar = block.toString("latin1", 257, 263) === "ustar\0";
  const prefix = isUstar ? text(block, 345, 155) : "";
  const name = text(block, 0, 100);
  const typeByte = block[156] as number;
  const type = typeByte === 0 ? "0" : String.fromCharCode(typeByte);
  const isDevice = type === "3" || type === "4";
  return {
    type,
    name: prefix === "" ? name : `${prefix}/${name}`,
    linkName: text(block, 157, 100),
    mode: number(block, 100, 8, "mode") & 0o7777,
    uid: identity(number(block, 108, 8, "owner")),
    gid: identity(number(block, 116, 8, "group")),
    size: fileSize(number(block, 124, 12, "size")),
    seconds: number(block, 136, 12, "time"),
    major: isDevice ? number(block, 329, 8, "device") : 0,
    minor: isDevice ? number(block, 337, 8, "device") : 0,
  };
}

function text(block: Buffer, at: number, size: number): RawName {
  const end = block.indexOf(0, at);
  return block.toString("latin1", at, end < 0 || end > at + size ? at + size : end);
}

/** A size that a file can have and a double can count. */
export function fileSize(size: number): number {
  if (!Number.isSafeInteger(size) || size < 0) throw damaged(`impossible file size ${size}`);
  return size;
}

const ID_MAX = 0xffff_fffe;

/** A user or group id; all ones means "none" to the kernel and is refused. */
export function identity(id: number): number {
  if (!Number.isInteger(id) || id < 0 || id > ID_MAX) throw damaged(`impossible owner ${id}`);
  return id;
}

/** A number field: octal digits, or base 256 with the highest bit set. */
export function number(block: Buffer, at: number, size: number, what: string): number {
  const first = block[at] as number;
  if ((first & 0x80) !== 0) return base256(block, at, size, what);
  const value = octal(block, at, at + size);
  if (value === null) throw damaged(`bad ${what} field`);
  return value;
}

const [DIGIT_0, DIGIT_7] = [0x30, 0x37];

/** The digits behind any spaces, up to a NUL or space; null when something else is among them. None are zero. */
function octal(block: Buffer, start: number, end: number): number | null {
  let at = start;
  while (at < end && block[at] === SPACE) at++;
  let value = 0;
  for (; at < end; at++) {
    const byte = block[at] as number;
    if (byte === 0 || byte === SPACE) return value;
    if (byte < DIGIT_0 || byte > DIGIT_7) return null;
    value = value * 8 + byte - DIGIT_0;
  }
  return value;
}

function base256(block: Buffer, at: number, size: number, what: string): number {
  const isNegative = block[at] === 0xff;
  let value = BigInt(isNegative ? -1 : (block[at] as number) & 0x7f);
  for (let i = at + 1; i < at + size; i++) value = (value << 8n) | BigInt(block[i] as number);
  const result = Number(value);
  if (!Number.isSafeInteger(result)) throw damaged(`${what} out of range`);
  return result;
}
