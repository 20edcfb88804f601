// Encodes D-Bus values, little-endian. Takes the values that reader.ts returns, and a plain object or array of pairs
// for a dictionary as well; `h` takes any object with a `number`, and writes its index in the message.
import { Prepared } from "../../base/prepared.ts";
import { Variant } from "../../base/variant.ts";
import { type BusType, parseSignature } from "./signature.ts";

interface Numbered {
  readonly number: number;
}

/** How much memory a reused writer keeps after a large message. */
const KEPT_BYTES = 256 << 10;

export class BusWriter {
  #bytes: Buffer;
  #length = 0;
  /** The descriptors that the values written so far refer to, in index order. */
  descriptors: Numbered[] = [];

  constructor(capacity = 512) {
    this.#bytes = Buffer.allocUnsafe(capacity);
  }

  /** Begins a new message in the same memory. */
  reset(): void {
    if (this.#bytes.length > KEPT_BYTES) this.#bytes = Buffer.allocUnsafe(KEPT_BYTES);
    this.#length = 0;
    this.descriptors = [];
  }

  get length(): number {
    return this.#length;
  }

  /** Returns the written bytes; a view that is valid until the next write. */
  finish(): Buffer {
    return this.#bytes.subarray(0, this.#length);
  }

  #room(count: number): void {
    if (this.#length + count <= this.#bytes.length) return;
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + count));
    this.#bytes.copy(larger, 0, 0, this.#length);
    this.#bytes = larger;
  }

  align(to: number): void {
    const next = (this.#length + to - 1) & -to;
    this.#room(next - this.#length);
    while (this.#length < next) this.#bytes[this.#length++] = 0;
  }

  byte(value: number): void {
    this.#room(1);
    this.#bytes[this.#length++] = value & 0xff;
  }

  uint32(value: number): void {
    this.align(4);
    this.#room(4);
    this.#bytes.writeUInt32LE(value >>> 0, this.#length);
    this.#length += 4;
  }

  /** Overwrites four bytes written before. */
  patch(at: number, value: number): void {
    this.#bytes.writeUInt32LE(value, at);
  }

  /** Inserts bytes at the offset `at`; what was written from there on moves. */
  insert(at: number, bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.copyWithin(at + bytes.length, at, this.#length);
    this.#bytes.set(bytes, at);
    this.#length += bytes.length;
  }

  raw(bytes: Uint8Array): void {
    this.#room(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  string(text: string): void {
    this.align(4);
    this.#room(4 + text.length * 3 + 1);
    const start = this.#length + 4;
    const size = this.#ascii(text, start) ? text.length : this.#bytes.write(text, start, "utf8");
    this.#bytes.writeUInt32LE(size, start - 4);
    this.#length = start + size;
    this.#bytes[this.#length++] = 0;
  }

  /** Writes a short ASCII text, as most are: a loop is faster than any call. Returns false for all others. */
  #ascii(text: string, start: number): boolean {
    if (text.length > 128) return false;
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i);
      if (code >= 0x80) return false;
      this.#bytes[start + i] = code;
    }
    return true;
  }

  signature(text: string): void {
    this.#room(text.length + 2);
    this.#bytes[this.#length++] = text.length;
    this.#length += this.#bytes.write(text, this.#length, "latin1");
    this.#bytes[this.#length++] = 0;
  }

  /** Writes the values of a whole body. Throws a TypeError where a value does not fit its type: a bug of the caller. */
  body(signature: string, values: readonly unknown[]): void {
    const types = parseSignature(signature);
    if (types.length !== values.length) throw new TypeError(`${values.length} values for the signature '${signature}'`);
    for (let i = 0; i < types.length; i++) this.value(types[i] as BusType, values[i]);
  }

  value(type: BusType, value: unknown): void {
    switch (type.code) {
      case "y":
        this.byte(value as number);
        break;
      case "b":
        this.uint32(value === true ? 1 : 0);
        break;
      case "u":
        this.uint32(value as number);
        break;
      case "s":
      case "o":
        this.string(text(value));
        break;
      case "g":
        this.signature(text(value));
        break;
      case "h":
        this.uint32(this.descriptors.push(value as Numbered) - 1);
        break;
      case "v":
        this.#variant(value);
        break;
      case "a":
        if (value instanceof Prepared) this.#prepared(type, value);
        else this.#array(type.element, type.align, value);
        break;
      case "(":
        this.#struct(type.fields, value as readonly unknown[]);
        break;
      case "{":
        throw new TypeError("dictionary entry outside a dictionary");
      default:
        this.#number(type.code, value as number | bigint);
        break;
    }
  }

  #number(code: "n" | "q" | "i" | "x" | "t" | "d", value: number | bigint): void {
    const size = code === "n" || code === "q" ? 2 : code === "i" ? 4 : 8;
    this.align(size);
    this.#room(size);
    const at = this.#length;
    this.#length += size;
    if (code === "n") this.#bytes.writeInt16LE(Number(value), at);
    else if (code === "q") this.#bytes.writeUInt16LE(Number(value), at);
    else if (code === "i") this.#bytes.writeInt32LE(Number(value), at);
    else if (code === "x") this.#bytes.writeBigInt64LE(BigInt(value), at);
    else if (code === "t") this.#bytes.writeBigUInt64LE(BigInt(value), at);
    else this.#bytes.writeDoubleLE(Number(value), at);
  }

  #variant(value: unknown): void {
    if (!(value instanceof Variant)) throw new TypeError("a variant needs its signature");
    this.signature(value.signature);
    const type = parseSignature(value.signature)[0];
    if (type === undefined) throw new TypeError("a variant holds one value");
    this.value(type, value.value);
  }

  #struct(fields: readonly BusType[], values: readonly unknown[]): void {
    this.align(8);
    for (let i = 0; i < fields.length; i++) this.value(fields[i] as BusType, values[i]);
  }

  #prepared(type: BusType, prepared: Prepared<unknown>): void {
    // The padding inside depends on the offset: the cached bytes are those of an offset that is a multiple of 8.
    if (this.#length % 8 !== 0) {
      this.value(type, prepared.value);
      return;
    }
    if (prepared.bytes === null) {
      const writer = new BusWriter();
      writer.value(type, prepared.value);
      prepared.bytes = Buffer.from(writer.finish());
    }
    this.raw(prepared.bytes);
  }

  #array(element: BusType, align: number, value: unknown): void {
    this.uint32(0);
    const lengthAt = this.#length - 4;
    this.align(align);
    const start = this.#length;
    if (element.code === "y") this.raw(value as Uint8Array);
    else if (element.code === "{") this.#entries(element, value);
    else for (const item of value as Iterable<unknown>) this.value(element, item);
    this.patch(lengthAt, this.#length - start);
  }

  #entries(type: { key: BusType; value: BusType }, value: unknown): void {
    const isPairs = value instanceof Map || Array.isArray(value);
    const pairs = isPairs ? (value as Iterable<[unknown, unknown]>) : Object.entries(value as object);
    for (const [key, item] of pairs) {
      this.align(8);
      this.value(type.key, key);
      this.value(type.value, item);
    }
  }
}

function text(value: unknown): string {
  if (typeof value !== "string") throw new TypeError(`expected text, not ${typeof value}`);
  return value;
}
