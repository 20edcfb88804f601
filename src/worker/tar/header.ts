// The 512-byte header blocks of tar archives: ustar, GNU and V7. See tar(5), "The GNU tar manual, Basic Tar Format".
import type { RawName } from "../../kernel/tree/tree.ts";
import { damaged } from "../stream/feed.ts";
import { TIME_MAX } from "./pax.ts";

export const BLOCK = 512;

export interface TarHeader {
  /** The type character of the header; "0" for the NUL of old archives. */
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

/** Returns whether a block is all zero: half of an end mark. */
export function isZeroBlock(block: Buffer): boolean {
  return block[0] === 0 && block.equals(ZERO_BLOCK);
}

const CHECKSUM_AT = 148;
const CHECKSUM_SIZE = 8;
const SPACE = 0x20;

/** Returns the checksum of a header: the sum of its bytes, with spaces in the checksum field. */
export function headerSum(block: Buffer): number {
  let sum = CHECKSUM_SIZE * SPACE;
  for (let at = 0; at < CHECKSUM_AT; at++) sum += block[at] as number;
  for (let at = CHECKSUM_AT + CHECKSUM_SIZE; at < BLOCK; at++) sum += block[at] as number;
  return sum;
}

/** Returns how much smaller the checksum of old programs is, which added signed bytes. */
function signedDifference(block: Buffer): number {
  const inSum = (_: number, at: number) => at < CHECKSUM_AT || at >= CHECKSUM_AT + CHECKSUM_SIZE;
  return 256 * block.subarray(0, BLOCK).filter((byte, at) => byte > 127 && inSum(byte, at)).length;
}

/** Returns whether the checksum of a header is correct, signed or unsigned. */
export function hasValidSum(block: Buffer): boolean {
  const text = block
    .toString("latin1", CHECKSUM_AT, CHECKSUM_AT + CHECKSUM_SIZE)
    .replace(/[\0 ]+$/, "")
    .trimStart();
  if (!/^[0-7]+$/.test(text)) return false;
  const stored = Number.parseInt(text, 8);
  const sum = headerSum(block);
  return stored === sum || stored === sum - signedDifference(block);
}

/** Returns the name in a header, with its prefix. */
export function headerName(block: Buffer): RawName {
  const isUstar = block.toString("latin1", 257, 263) === "ustar\0";
  const prefix = isUstar ? text(block, 345, 155) : "";
  const name = text(block, 0, 100);
  return prefix === "" ? name : `${prefix}/${name}`;
}

/** Parses a header whose checksum is correct. Throws EBADMSG for invalid numbers. */
export function parseHeader(block: Buffer): TarHeader {
  const typeByte = block[156] as number;
  const type = typeByte === 0 ? "0" : String.fromCharCode(typeByte);
  const isDevice = type === "3" || type === "4";
  return {
    type,
    name: headerName(block),
    linkName: text(block, 157, 100),
    mode: number(block, 100, 8, "mode") & 0o7777,
    uid: identity(number(block, 108, 8, "owner")),
    gid: identity(number(block, 116, 8, "group")),
    size: fileSize(number(block, 124, 12, "size")),
    seconds: time(block),
    major: isDevice ? deviceNumber(number(block, 329, 8, "device"), MAJOR_MAX) : 0,
    minor: isDevice ? deviceNumber(number(block, 337, 8, "device"), MINOR_MAX) : 0,
  };
}

function text(block: Buffer, at: number, size: number): RawName {
  const end = block.indexOf(0, at);
  return block.toString("latin1", at, end < 0 || end > at + size ? at + size : end);
}

/** Returns a file size; throws EBADMSG where it is negative or beyond 2^53. */
export function fileSize(size: number): number {
  if (!Number.isSafeInteger(size) || size < 0) throw damaged(`impossible file size ${size}`);
  return size;
}

const ID_MAX = 0xffff_fffe;

/** Returns a user or group id; throws EBADMSG for an invalid one. 2^32-1 means "none" to the kernel. */
export function identity(id: number): number {
  if (!Number.isInteger(id) || id < 0 || id > ID_MAX) throw damaged(`impossible owner ${id}`);
  return id;
}

/** The largest numbers of a device that mknod(2) takes. */
const [MAJOR_MAX, MINOR_MAX] = [0xfff, 0xf_ffff];

/**
 * Returns a device number; throws EBADMSG for one beyond the kernel's bits: without them it would be another device.
 */
function deviceNumber(value: number, max: number): number {
  if (value < 0 || value > max) throw damaged(`impossible device number ${value}`);
  return value;
}

/** Parses a number field: octal digits, or base 256 with the highest bit set. Throws EBADMSG that names `what`. */
export function number(block: Buffer, at: number, size: number, what: string): number {
  const first = block[at] as number;
  if ((first & 0x80) !== 0) return base256(block, at, size, what);
  const value = octal(block, at, at + size);
  if (value === null) throw damaged(`bad ${what} field`);
  return value;
}

const [DIGIT_0, DIGIT_7] = [0x30, 0x37];

/** Parses octal digits after spaces, up to a NUL or space. Returns null for other characters, 0 for no digits. */
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
  const result = base256Value(block, at, size);
  if (!Number.isSafeInteger(result)) throw damaged(`${what} out of range`);
  return result;
}

/** Returns a number in base 256; one beyond 2^53 is rounded. */
function base256Value(block: Buffer, at: number, size: number): number {
  const isNegative = block[at] === 0xff;
  let value = BigInt(isNegative ? -1 : (block[at] as number) & 0x7f);
  for (let i = at + 1; i < at + size; i++) value = (value << 8n) | BigInt(block[i] as number);
  return Number(value);
}

const [TIME_AT, TIME_SIZE] = [136, 12];

function time(block: Buffer): number {
  const isBase256 = ((block[TIME_AT] as number) & 0x80) !== 0;
  if (!isBase256) return number(block, TIME_AT, TIME_SIZE, "time");
  return Math.min(Math.max(base256Value(block, TIME_AT, TIME_SIZE), -TIME_MAX), TIME_MAX);
}
