// D-Bus signatures as type trees (D-Bus specification, "Type System"). Hostile input: depth and length are bounded.

export type BusType =
  | { readonly code: "y" | "b" | "n" | "q" | "i" | "u" | "x" | "t" | "d" | "s" | "o" | "g" | "h" | "v" }
  | { readonly code: "a"; readonly element: BusType; readonly align: number }
  | { readonly code: "("; readonly fields: readonly BusType[] }
  | { readonly code: "{"; readonly key: BusType; readonly value: BusType };

const BASIC = "ybnqiuxtdsogh";
/** The limit of arrays within each other, and that of structures. */
const MAX_DEPTH = 32;
const MAX_LENGTH = 255;
const CACHE_SIZE = 512;
type Cache = Map<string, readonly BusType[]>;
const cache: Cache = new Map();
const looseCache: Cache = new Map();

/** Returns the alignment of a type, in bytes, which is the size of a number. */
export function alignmentOf(type: BusType): number {
  switch (type.code) {
    case "y":
    case "g":
    case "v":
      return 1;
    case "n":
    case "q":
      return 2;
    case "x":
    case "t":
    case "d":
    case "(":
    case "{":
      return 8;
    default:
      return 4;
  }
}

/** Returns the complete types of a signature, in order. Throws a RangeError for an invalid signature. */
export function parseSignature(signature: string): readonly BusType[] {
  return cache.get(signature) ?? stored(cache, signature, parseAll(signature, STRICT));
}

function stored(where: Cache, signature: string, types: readonly BusType[]): readonly BusType[] {
  if (where.size >= CACHE_SIZE) where.clear();
  where.set(signature, types);
  return types;
}

/**
 * As parseSignature(), for values that are passed over: takes what brokers let pass beyond the specification, which are
 * deeper types, structures without fields, and dictionary entries outside of an array, which are read as structures.
 */
export function parseLoosely(signature: string): readonly BusType[] {
  return looseCache.get(signature) ?? stored(looseCache, signature, parseAll(signature, LOOSE));
}

interface Rules {
  /** How many more arrays and structures may be within each other. */
  readonly arrays: number;
  readonly structs: number;
  readonly isLoose: boolean;
}

const STRICT: Rules = { arrays: MAX_DEPTH, structs: MAX_DEPTH, isLoose: false };
const LOOSE: Rules = { arrays: MAX_LENGTH, structs: MAX_LENGTH, isLoose: true };

function parseAll(signature: string, rules: Rules): readonly BusType[] {
  if (signature.length > MAX_LENGTH) throw new RangeError("signature is too long");
  const types: BusType[] = [];
  for (let at = 0; at < signature.length; ) {
    const [type, next] = parseOne(signature, at, rules);
    types.push(type);
    at = next;
  }
  return types;
}

function parseOne(text: string, at: number, rules: Rules): [BusType, number] {
  const code = text[at];
  if (code === undefined) throw new RangeError("signature ends early");
  if (BASIC.includes(code) || code === "v") return [{ code } as BusType, at + 1];
  if (code === "a") {
    const inner = { ...rules, arrays: deeper(rules.arrays) };
    if (text[at + 1] === "{") return parseDictionary(text, at + 1, inner);
    const [element, next] = parseOne(text, at + 1, inner);
    return [{ code: "a", element, align: alignmentOf(element) }, next];
  }
  const inner = { ...rules, structs: deeper(rules.structs) };
  if (code === "(") return parseStruct(text, at + 1, inner, ")");
  if (code === "{" && rules.isLoose) return parseStruct(text, at + 1, inner, "}");
  throw new RangeError(`signature has the unknown type '${code}'`);
}

function deeper(left: number): number {
  if (left === 0) throw new RangeError("signature is nested too deeply");
  return left - 1;
}

function parseStruct(text: string, start: number, rules: Rules, end: ")" | "}"): [BusType, number] {
  const fields: BusType[] = [];
  let at = start;
  while (text[at] !== end) {
    const [field, next] = parseOne(text, at, rules);
    fields.push(field);
    at = next;
  }
  if (fields.length === 0 && !rules.isLoose) throw new RangeError("signature has an empty structure");
  return [{ code: "(", fields }, at + 1];
}

function parseDictionary(text: string, at: number, outer: Rules): [BusType, number] {
  const rules = { ...outer, structs: deeper(outer.structs) };
  const [key, afterKey] = parseOne(text, at + 1, rules);
  if (!BASIC.includes(key.code)) throw new RangeError("signature has a dictionary with a compound key");
  const [value, afterValue] = parseOne(text, afterKey, rules);
  if (text[afterValue] !== "}") throw new RangeError("signature has a dictionary that does not end");
  return [{ code: "a", element: { code: "{", key, value }, align: 8 }, afterValue + 1];
}
