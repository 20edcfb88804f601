// Whole D-Bus messages: framing with limits, header fields, encoding (D-Bus specification, "Message Protocol").
import type { Fd } from "../../kernel/file/fd.ts";
import { BusReader, isObjectPath } from "./reader.ts";
import { BusWriter } from "./writer.ts";

export const MESSAGE_TYPE = { call: 1, reply: 2, error: 3, signal: 4 } as const;
export const FLAG_NO_REPLY = 1;
export const FLAG_INTERACTIVE = 4;

/** A descriptor that is sent with a message. */
interface NumberedFd {
  readonly number: number;
}

/** Header fields of a message; those that its kind does not carry are absent. */
interface HeaderFields {
  readonly type: number;
  readonly path?: string | undefined;
  readonly interface?: string | undefined;
  readonly member?: string | undefined;
  readonly errorName?: string | undefined;
  readonly replySerial?: number | undefined;
  readonly destination?: string | undefined;
  readonly sender?: string | undefined;
}

/** The head of a received message. */
export interface MessageHead extends HeaderFields {
  readonly flags: number;
  serial: number;
  readonly signature: string;
  readonly descriptorCount: number;
}

/** Returns the sizes in a message's first 16 bytes. Throws a RangeError for bytes that cannot begin a message. */
export function measure(bytes: Buffer): { head: number; total: number } {
  const little = isLittleEndian(bytes);
  if (bytes[3] !== 1) throw new RangeError("protocol version is not 1");
  const bodyLength = little ? bytes.readUInt32LE(4) : bytes.readUInt32BE(4);
  const fieldsLength = little ? bytes.readUInt32LE(12) : bytes.readUInt32BE(12);
  if (fieldsLength > MAX_FIELDS_BYTES) throw new RangeError("message header is too long");
  if (bodyLength > MAX_MESSAGE_BYTES) throw new RangeError("message is too long");
  const head = (16 + fieldsLength + 7) & -8;
  return { head, total: head + bodyLength };
}

/** The D-Bus specification's own limits. */
const MAX_MESSAGE_BYTES = 128 << 20;
const MAX_FIELDS_BYTES = 64 << 20;

function isLittleEndian(bytes: Buffer): boolean {
  if (bytes[0] === 0x6c) return true;
  if (bytes[0] === 0x42) return false;
  throw new RangeError("byte order is neither 'l' nor 'B'");
}

const FIELD_TYPES = ["", "o", "s", "s", "s", "u", "s", "s", "g", "u"] as const;

/** A head whose fields can be read, but have a value that is not valid; the descriptors of its message are known. */
export class InvalidHead extends RangeError {
  readonly descriptorCount: number;

  constructor(message: string, descriptorCount: number) {
    super(message);
    this.descriptorCount = descriptorCount;
  }
}

/**
 * Reads the head of a message (`bytes` holds at least that) and checks what its kind needs. Throws InvalidHead, or
 * another RangeError where not all fields can be read.
 */
export function decodeHead(bytes: Buffer): MessageHead {
  const little = isLittleEndian(bytes);
  const type = bytes[1] as number;
  const reader = new BusReader(bytes, 8, little);
  const serial = reader.uint32();
  const stop = 16 + reader.uint32();
  const fields: (string | number | undefined)[] = new Array(10);
  while (reader.at < stop) {
    reader.align(8);
    const code = reader.byte();
    const signature = reader.signature();
    if (code === 0) throw new RangeError("header field 0");
    if (code < FIELD_TYPES.length) {
      if (signature !== FIELD_TYPES[code]) throw new RangeError(`header field ${code} has the type '${signature}'`);
      fields[code] = signature === "u" ? reader.uint32() : signature === "g" ? reader.signature() : reader.string();
    } else reader.skip(signature); // Anybody may send such fields, of any type, through a broker.
  }
  if (reader.at !== stop) throw new RangeError("header fields overrun");
  if (serial === 0) throw new RangeError("serial is 0");
  const head: MessageHead = {
    type,
    flags: bytes[2] as number,
    serial,
    path: fields[1] as string | undefined,
    interface: fields[2] as string | undefined,
    member: fields[3] as string | undefined,
    errorName: fields[4] as string | undefined,
    replySerial: fields[5] as number | undefined,
    destination: fields[6] as string | undefined,
    sender: fields[7] as string | undefined,
    signature: (fields[8] as string | undefined) ?? "",
    descriptorCount: (fields[9] as number | undefined) ?? 0,
  };
  const mistake = mistakeIn(head);
  if (mistake !== null) throw new InvalidHead(mistake, head.descriptorCount);
  return head;
}

/** Returns what is wrong with the values of a head. Not every broker checks all of them. */
function mistakeIn(head: MessageHead): string | null {
  if (head.path !== undefined && !isObjectPath(head.path)) return "object path is not valid";
  // The error of one peer, such as the bus of a machine, becomes the reply to another: a broker disconnects who sends
  // it an invalid name.
  if (head.errorName !== undefined && !isErrorName(head.errorName)) return "error name is not valid";
  const complete =
    head.type === MESSAGE_TYPE.call
      ? head.path !== undefined && head.member !== undefined
      : head.type === MESSAGE_TYPE.signal
        ? head.path !== undefined && head.interface !== undefined && head.member !== undefined
        : head.type === MESSAGE_TYPE.reply
          ? head.replySerial !== undefined
          : head.type === MESSAGE_TYPE.error
            ? head.replySerial !== undefined && head.errorName !== undefined
            : head.type !== 0;
  return complete ? null : "message lacks a header field";
}

const ERROR_NAME = /^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+$/;
const NAME_MAX_BYTES = 255;

/** Whether text is the name of an error of the D-Bus specification. */
function isErrorName(text: string): boolean {
  return text.length <= NAME_MAX_BYTES && ERROR_NAME.test(text);
}

/**
 * How many arrays, structures and variants a message may have. Each of a few hundred properties of a call is three of
 * them; a list in the longest reply, with rows of 32 bytes, has no more.
 */
const MOST_COMPOUNDS = { call: 4096, other: 512 << 10 };

/**
 * Returns the values after a head of `headLength` bytes. Throws a RangeError for a body that does not match its
 * signature, or has too many values that take much memory.
 */
export function decodeBody(
  bytes: Buffer,
  headLength: number,
  signature: string,
  descriptors: readonly Fd[],
): unknown[] {
  const body = bytes.subarray(headLength);
  const mostCompounds = bytes[1] === MESSAGE_TYPE.call ? MOST_COMPOUNDS.call : MOST_COMPOUNDS.other;
  const reader = new BusReader(body, 0, isLittleEndian(bytes), { descriptors, mostCompounds });
  const values = reader.body(signature);
  if (reader.at !== body.length) throw new RangeError("message body is longer than its signature");
  return values;
}

/** A message to send; `serial` is filled in by the connection. */
export interface Outgoing extends HeaderFields {
  readonly flags?: number | undefined;
  readonly serial: number;
  readonly signature?: string | undefined;
  readonly body?: readonly unknown[] | undefined;
}

/** Reused for every message, whose bytes are copied out of it. */
const writer = new BusWriter(4096);

/** Returns the bytes of a message and the descriptors that are sent with its first byte. */
export function encodeMessage(message: Outgoing): { bytes: Buffer; descriptors: readonly NumberedFd[] } {
  const signature = message.signature ?? "";
  writer.reset();
  writer.byte(0x6c);
  writer.byte(message.type);
  writer.byte(message.flags ?? 0);
  writer.byte(1);
  writer.uint32(0);
  writer.uint32(message.serial);
  writer.uint32(0);
  field(writer, 1, "o", message.path);
  field(writer, 2, "s", message.interface);
  field(writer, 3, "s", message.member);
  field(writer, 4, "s", message.errorName);
  field(writer, 5, "u", message.replySerial);
  field(writer, 6, "s", message.destination);
  field(writer, 7, "s", message.sender);
  field(writer, 8, "g", signature === "" ? undefined : signature);
  writer.patch(12, writer.length - FIELDS_START);
  writer.align(8);
  const head = writer.length;
  if (signature !== "") writer.body(signature, message.body ?? []);
  writer.patch(4, writer.length - head);
  const { descriptors } = writer;
  if (descriptors.length > 0) insertDescriptorCount(head, descriptors.length);
  return { bytes: Buffer.from(writer.finish()), descriptors };
}

/** Where the header fields begin: after the fixed part and the length of the fields. */
const FIELDS_START = 16;

/**
 * Adds the last header field, the number of descriptors, which is known when the body, which follows it, is written.
 * The field has 8 bytes and the head ends at a multiple of 8, so that the body moves without changing its padding.
 */
function insertDescriptorCount(head: number, count: number): void {
  writer.insert(head, Uint8Array.of(9, 1, 0x75, 0, count, count >>> 8, count >>> 16, count >>> 24));
  writer.patch(12, head + 8 - FIELDS_START);
}

function field(writer: BusWriter, code: number, signature: "o" | "s" | "u" | "g", value: string | number | undefined) {
  if (value === undefined) return;
  writer.align(8);
  writer.byte(code);
  writer.signature(signature);
  if (signature === "u") writer.uint32(value as number);
  else if (signature === "g") writer.signature(value as string);
  else writer.string(value as string);
}
