// Reads JSON that this program has written. Whole numbers that a double cannot hold stay exact.
import type { Json } from "./json.ts";

/** The value of a document; throws a SyntaxError for anything else. */
export function parseJson(text: string): Json {
  return JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) => {
    const isInexact = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
    return isInexact && context?.source !== undefined ? BigInt(context.source) : value;
  }) as Json;
}
