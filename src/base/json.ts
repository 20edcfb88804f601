// JSON as Varlink has it (RFC 8259): strict on the way in, because JSON.parse() lets duplicate keys and lone surrogates
// pass and rounds integers beyond 2^53; those are bigint here, both ways. Objects have no prototype.

/** An object as it was read. */
export type JsonObject = { [key: string]: JsonValue };
export type JsonValue = null | boolean | number | bigint | string | JsonValue[] | JsonObject;

const MAX_DEPTH = 128;

interface ParsedJson {
  readonly value: JsonValue;
  /** Keys that stand twice in an object below the outermost one; the outermost may have none (SyntaxError). */
  readonly duplicates: readonly string[];
}

/** Reads exactly one JSON value. Throws a SyntaxError for anything else. */
export function parseJson(text: string): ParsedJson {
  const parser = new Parser(text);
  const value = parser.document();
  return { value, duplicates: parser.duplicates };
}

const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?/y;
const SPACE = 0x20;
const BLANKS = /[ \t\n\r]*/y;
const LONE_SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/;

class Parser {
  readonly #text: string;
  readonly duplicates: string[] = [];
  #at = 0;

  constructor(text: string) {
    this.#text = text;
  }

  document(): JsonValue {
    this.#blanks();
    const value = this.#value(0);
    this.#blanks();
    if (this.#at !== this.#text.length) this.#fail();
    return value;
  }

  #fail(): never {
    throw new SyntaxError(`JSON is not valid at character ${this.#at}`);
  }

  #match(pattern: RegExp): RegExpExecArray | null {
    pattern.lastIndex = this.#at;
    const match = pattern.exec(this.#text);
    if (match !== null) this.#at = pattern.lastIndex;
    return match;
  }

  #blanks(): void {
    if (this.#text.charCodeAt(this.#at) <= SPACE) this.#match(BLANKS);
  }

  #take(char: string): boolean {
    if (this.#text[this.#at] !== char) return false;
    this.#at++;
    return true;
  }

  #word(word: string, value: JsonValue): JsonValue {
    if (!this.#text.startsWith(word, this.#at)) this.#fail();
    this.#at += word.length;
    return value;
  }

  #value(depth: number): JsonValue {
    if (depth > MAX_DEPTH) this.#fail();
    switch (this.#text[this.#at]) {
      case "{":
        return this.#object(depth);
      case "[":
        return this.#array(depth);
      case '"':
        return this.#string();
      case "t":
        return this.#word("true", true);
      case "f":
        return this.#word("false", false);
      case "n":
        return this.#word("null", null);
      default:
        return this.#number();
    }
  }

  #number(): number | bigint {
    const match = this.#match(NUMBER);
    if (match === null) this.#fail();
    const [text, fraction, exponent] = match;
    const value = Number(text);
    if (!Number.isFinite(value)) this.#fail();
    return fraction === undefined && exponent === undefined && !Number.isSafeInteger(value) ? BigInt(text) : value;
  }

  #string(): string {
    const start = this.#at;
    this.#at = this.#endOfString(start);
    // JSON.parse() refuses what was not looked at: control characters and unknown escapes.
    const value = JSON.parse(this.#text.slice(start, this.#at)) as string;
    if (LONE_SURROGATE.test(value) || value.includes("\0")) this.#fail();
    return value;
  }

  /** Behind the quote that ends a string. No pattern: the engine gives up on one with a repeated choice after some MiB. */
  #endOfString(start: number): number {
    for (let from = start + 1; ; ) {
      const quote = this.#text.indexOf('"', from);
      if (quote < 0) this.#fail();
      let backslashes = 0;
      while (this.#text[quote - 1 - backslashes] === "\\") backslashes++;
      if (backslashes % 2 === 0) return quote + 1;
      from = quote + 1;
    }
  }

  #array(depth: number): JsonValue[] {
    const values: JsonValue[] = [];
    this.#at++;
    this.#blanks();
    if (this.#take("]")) return values;
    for (;;) {
      this.#blanks();
      values.push(this.#value(depth + 1));
      this.#blanks();
      if (this.#take("]")) return values;
      if (!this.#take(",")) this.#fail();
    }
  }

  #object(depth: number): JsonObject {
    const object: JsonObject = Object.create(null);
    this.#at++;
    this.#blanks();
    if (this.#take("}")) return object;
    for (;;) {
      this.#blanks();
      const key = this.#string();
      this.#blanks();
      if (!this.#take(":")) this.#fail();
      this.#blanks();
      const value = this.#value(depth + 1);
      if (key in object) {
        if (depth === 0) this.#fail();
        this.duplicates.push(key);
      }
      object[key] = value;
      this.#blanks();
      if (this.#take("}")) return object;
      if (!this.#take(",")) this.#fail();
    }
  }
}

/** Writes a value without blanks; keys that are undefined are left out; a bigint becomes a plain integer. */
export function formatJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return formatWithBigints(value); // which JSON.stringify() refuses
  }
}

function formatWithBigints(value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map(formatWithBigints).join(",")}]`;
  const members = Object.entries(value).filter(([, item]) => item !== undefined);
  return `{${members.map(([key, item]) => `${JSON.stringify(key)}:${formatWithBigints(item)}`).join(",")}}`;
}

/** The same integer as a number where that loses nothing: numbers are written and read faster. */
export function plainInteger(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
