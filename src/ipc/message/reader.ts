// Decodes D-Bus values. The bytes may come from a hostile peer: everything is checked before it is used, and an invalid
// byte is a RangeError, never a crash, a hang or a large allocation.
//
// JavaScript types: y n q i u d → number; x t → bigint; b → boolean; s o g → string; h → the Fd itself; ay → Buffer (a
// copy); a{..} → Map; other arrays and structures → arrays; v → Variant.
import type * as NodeBuffer from "node:buffer";
import { lazy } from "../../base/lazy.ts";
import { Variant } from "../../base/variant.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { alignmentOf, type BusType, parseLoosely, parseSignature } from "./signature.ts";

/** Not imported: most messages have plain texts only, and a short command takes no longer than loading this. */
const buffer = lazy((): typeof NodeBuffer => process.getBuiltinModule("node:buffer"));

const MAX_ARRAY_BYTES = 64 << 20;
const MAX_VARIANT_DEPTH = 64;
/** Printable ASCII: each byte is one character. */
const PLAIN = /^[ -~]*$/;

interface ReaderOptions {
  /** What the values of type h refer to. */
  readonly descriptors?: readonly Fd[];
  /** No limit unless given. */
  readonly mostCompounds?: number;
}

export class BusReader {
  readonly #bytes: Buffer;
  readonly #little: boolean;
  readonly #descriptors: readonly Fd[];
  at: number;
  #end: number;
  /** How many more arrays, structures and variants may be decoded. */
  #compounds: number;

  /**
   * Reads `bytes` from `at`; alignment counts from the start of `bytes`. More arrays, structures and variants than
   * `mostCompounds` are refused: an empty array has four bytes, and takes thirty times that memory when it is decoded.
   */
  constructor(
    bytes: Buffer,
    at: number,
    little: boolean,
    { descriptors = [], mostCompounds = Number.POSITIVE_INFINITY }: ReaderOptions = {},
  ) {
    this.#bytes = bytes;
    this.#little = little;
    this.#descriptors = descriptors;
    this.#compounds = mostCompounds;
    this.at = at;
    this.#end = bytes.length;
  }

  align(to: number): void {
    const next = (this.at + to - 1) & -to;
    this.#need(next - this.at);
    for (; this.at < next; this.at++) if (this.#bytes[this.at] !== 0) throw new RangeError("padding is not zero");
  }

  #need(count: number): void {
    if (this.at + count > this.#end) throw new RangeError("message ends early");
  }

  byte(): number {
    this.#need(1);
    return this.#bytes[this.at++] as number;
  }

  uint32(): number {
    this.align(4);
    this.#need(4);
    const value = this.#little ? this.#bytes.readUInt32LE(this.at) : this.#bytes.readUInt32BE(this.at);
    this.at += 4;
    return value;
  }

  string(): string {
    const length = this.uint32();
    return this.#text(length);
  }

  signature(): string {
    return this.#text(this.byte());
  }

  #text(length: number): string {
    this.#need(length + 1);
    const start = this.at;
    const end = start + length;
    if (this.#bytes[end] !== 0) throw new RangeError("string is not terminated");
    this.at = end + 1;
    const text = this.#bytes.toString("latin1", start, end);
    if (PLAIN.test(text)) return text;
    if (text.includes("\0")) throw new RangeError("string contains a NUL byte");
    if (!buffer().isUtf8(this.#bytes.subarray(start, end))) throw new RangeError("string is not UTF-8");
    return this.#bytes.toString("utf8", start, end);
  }

  /** Returns all values of a signature. */
  body(signature: string): unknown[] {
    return parseSignature(signature).map((type) => this.value(type, 0));
  }

  value(type: BusType, depth: number): unknown {
    switch (type.code) {
      case "y":
        return this.byte();
      case "b":
        return this.#boolean();
      case "u":
        return this.uint32();
      case "h":
        return this.#descriptor();
      case "s":
        return this.string();
      case "o":
        return this.objectPath();
      case "g":
        return this.#checkedSignature();
      case "v":
        this.#countCompound();
        return this.#variant(depth + 1);
      case "a":
        this.#countCompound();
        return this.#array(type.element, type.align, depth);
      case "(":
        this.#countCompound();
        this.align(8);
        return type.fields.map((field) => this.value(field, depth));
      case "{":
        throw new RangeError("dictionary entry outside a dictionary");
      default:
        return this.#number(type.code);
    }
  }

  #countCompound(): void {
    if (this.#compounds-- <= 0) throw new RangeError("message has too many arrays, structures and variants");
  }

  /** Moves past all values of a signature, which are neither decoded nor stored. */
  skip(signature: string): void {
    for (const type of parseLoosely(signature)) this.#skip(type, 0);
  }

  #skip(type: BusType, depth: number): void {
    if (type.code === "s" || type.code === "o") this.#pass(this.uint32() + 1);
    else if (type.code === "g") this.#pass(this.byte() + 1);
    else if (type.code === "(") {
      this.align(8);
      for (const field of type.fields) this.#skip(field, depth);
    } else if (type.code === "a") {
      const length = this.uint32();
      this.align(type.align);
      this.#pass(length);
    } else if (type.code === "v") {
      if (depth >= MAX_VARIANT_DEPTH) throw new RangeError("variants are nested too deeply");
      for (const inner of parseLoosely(this.signature())) this.#skip(inner, depth + 1);
    } else if (type.code !== "{") {
      const size = alignmentOf(type);
      this.align(size);
      this.#pass(size);
    }
  }

  #pass(count: number): void {
    this.#need(count);
    this.at += count;
  }

  #number(code: "n" | "q" | "i" | "x" | "t" | "d"): number | bigint {
    const size = code === "n" || code === "q" ? 2 : code === "i" ? 4 : 8;
    this.align(size);
    this.#need(size);
    const at = this.at;
    this.at += size;
    const [bytes, little] = [this.#bytes, this.#little];
    switch (code) {
      case "n":
        return little ? bytes.readInt16LE(at) : bytes.readInt16BE(at);
      case "q":
        return little ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at);
      case "i":
        return little ? bytes.readInt32LE(at) : bytes.readInt32BE(at);
      case "x":
        return little ? bytes.readBigInt64LE(at) : bytes.readBigInt64BE(at);
      case "t":
        return little ? bytes.readBigUInt64LE(at) : bytes.readBigUInt64BE(at);
      case "d":
        return little ? bytes.readDoubleLE(at) : bytes.readDoubleBE(at);
    }
  }

  #descriptor(): Fd {
    const fd = this.#descriptors[this.uint32()];
    if (fd === undefined) throw new RangeError("no such descriptor in the message");
    return fd;
  }

  #boolean(): boolean {
    const value = this.uint32();
    if (value > 1) throw new RangeError("boolean is neither 0 nor 1");
    return value === 1;
  }

  objectPath(): string {
    const path = this.string();
    if (!isObjectPath(path)) throw new RangeError("object path is not valid");
    return path;
  }

  #checkedSignature(): string {
    const text = this.signature();
    parseSignature(text);
    return text;
  }

  #variant(depth: number): Variant {
    if (depth > MAX_VARIANT_DEPTH) throw new RangeError("variants are nested too deeply");
    const signature = this.signature();
    const types = parseSignature(signature);
    const type = types[0];
    if (types.length !== 1 || type === undefined) throw new RangeError("variant does not hold exactly one type");
    return new Variant(signature, this.value(type, depth));
  }

  #array(element: BusType, align: number, depth: number): unknown {
    const length = this.uint32();
    if (length > MAX_ARRAY_BYTES) throw new RangeError("array is too long");
    this.align(align);
    this.#need(length);
    const stop = this.at + length;
    if (element.code === "y") {
      const bytes = Buffer.from(this.#bytes.subarray(this.at, stop));
      this.at = stop;
      return bytes;
    }
    const outer = this.#end;
    this.#end = stop;
    const result = element.code === "{" ? this.#entries(element, stop, depth) : this.#elements(element, stop, depth);
    this.#end = outer;
    return result;
  }

  #elements(element: BusType, stop: number, depth: number): unknown[] {
    const values: unknown[] = [];
    while (this.at < stop) values.push(this.value(element, depth));
    return values;
  }

  #entries(type: { key: BusType; value: BusType }, stop: number, depth: number): Map<unknown, unknown> {
    const entries = new Map<unknown, unknown>();
    while (this.at < stop) {
      this.align(8);
      const key = this.value(type.key, depth);
      entries.set(key, this.value(type.value, depth));
    }
    return entries;
  }
}

/** Patterns without repeated groups, on which the engine fails for texts of some MiB. */
const NOT_IN_PATHS = /[^A-Za-z0-9_/]|\/\//;

/** Whether text is an object path of the D-Bus specification. */
export function isObjectPath(text: string): boolean {
  return text.startsWith("/") && !NOT_IN_PATHS.test(text) && (text.length === 1 || !text.endsWith("/"));
}
