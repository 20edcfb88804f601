// JSON (RFC 8259) for Varlink. The parser is stricter than JSON.parse(), which accepts duplicate keys and lone
// surrogates and rounds integers beyond 2^53: those are read and written as bigint.

/** A parsed object; it has no prototype. */
export type JsonObject = { [key: string]: JsonValue };
export type JsonValue = null | boolean | number | bigint | string | JsonValue[] | JsonObject;

const MAX_DEPTH = 128;

interface ParsedJson {
  readonly value: JsonValue;
  /** Keys that occur twice in an object below the outermost one. In the outermost they are a SyntaxError. */
  readonly duplicates: readonly string[];
}

/** Parses a text that is exactly one JSON value. Throws a SyntaxError for anything else. */
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
    // JSON.parse() checks the rest: control characters and unknown escapes.
    const value = JSON.parse(this.#text.slice(start, this.#at)) as string;
    if (LONE_SURROGATE.test(value) || value.includes("\0")) this.#fail();
    return value;
  }

  /**
   * Returns the index after the quote that ends a string. Not a pattern: the engine fails on a repeated alternative
   * after some MiB.
   */
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

/** Formats a value without blanks; members that are undefined are left out; a bigint becomes a plain integer. */
export function formatJson(value: unknown): string {
  try {
    return JSON.stringify(value) ?? "null";
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    return formatWithBigints(value); // JSON.stringify() throws for a bigint
  }
}

function formatWithBigints(value: unknown): string {
  if (typeof value === "bigint") return value.toString();
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  if (Array.isArray(value)) return `[${value.map(formatWithBigints).join(",")}]`;
  const members = Object.entries(value).filter(([, item]) => item !== undefined);
  return `{${members.map(([key, item]) => `${JSON.stringify(key)}:${formatWithBigints(item)}`).join(",")}}`;
}

/** Returns the integer as a number where that is exact: numbers are formatted and parsed faster. */
export function plainInteger(value: bigint): number | bigint {
  const number = Number(value);
  return Number.isSafeInteger(number) ? number : value;
}
