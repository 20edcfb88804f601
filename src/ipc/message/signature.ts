// D-Bus signatures as type trees (D-Bus specification, "Type System"). Hostile input: depth and length are bounded.

export type BusType =
  | { readonly code: "y" | "b" | "n" | "q" | "i" | "u" | "x" | "t" | "d" | "s" | "o" | "g" | "h" | "v" }
  | { readonly code: "a"; readonly element: BusType; readonly align: number }
  | { readonly code: "("; readonly fields: readonly BusType[] }
  | { readonly code: "{"; readonly key: BusType; readonly value: BusType };

const BASIC = "ybnqiuxtdsogh";
const MAX_DEPTH = 32;
const CACHE_SIZE = 512;
const cache = new Map<string, readonly BusType[]>();

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
  const known = cache.get(signature);
  if (known !== undefined) return known;
  if (signature.length > 255) throw new RangeError("signature is too long");
  const types: BusType[] = [];
  for (let at = 0; at < signature.length; ) {
    const [type, next] = parseOne(signature, at, 0, 0);
    types.push(type);
    at = next;
  }
  if (cache.size >= CACHE_SIZE) cache.clear();
  cache.set(signature, types);
  return types;
}

function parseOne(text: string, at: number, arrays: number, structs: number): [BusType, number] {
  const code = text[at];
  if (code === undefined) throw new RangeError("signature ends early");
  if (BASIC.includes(code) || code === "v") return [{ code } as BusType, at + 1];
  if (arrays >= MAX_DEPTH || structs >= MAX_DEPTH) throw new RangeError("signature is nested too deeply");
  if (code === "a") {
    if (text[at + 1] === "{") return parseDictionary(text, at + 1, arrays + 1, structs);
    const [element, next] = parseOne(text, at + 1, arrays + 1, structs);
    return [{ code: "a", element, align: alignmentOf(element) }, next];
  }
  if (code === "(") return parseStruct(text, at + 1, arrays, structs + 1);
  throw new RangeError(`signature has the unknown type '${code}'`);
}

function parseStruct(text: string, start: number, arrays: number, structs: number): [BusType, number] {
  const fields: BusType[] = [];
  let at = start;
  while (text[at] !== ")") {
    const [field, next] = parseOne(text, at, arrays, structs);
    fields.push(field);
    at = next;
  }
  if (fields.length === 0) throw new RangeError("signature has an empty structure");
  return [{ code: "(", fields }, at + 1];
}

function parseDictionary(text: string, at: number, arrays: number, structs: number): [BusType, number] {
  const [key, afterKey] = parseOne(text, at + 1, arrays, structs + 1);
  if (!BASIC.includes(key.code)) throw new RangeError("signature has a dictionary with a compound key");
  const [value, afterValue] = parseOne(text, afterKey, arrays, structs + 1);
  if (text[afterValue] !== "}") throw new RangeError("signature has a dictionary that does not end");
  return [{ code: "a", element: { code: "{", key, value }, align: 8 }, afterValue + 1];
}
