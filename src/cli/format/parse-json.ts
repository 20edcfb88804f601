// Parses JSON that this program has written (json.ts). Integers beyond 2^53 become bigint, so that they stay exact.
import type { Json } from "./json.ts";

/** Returns the value of a JSON document. Throws a SyntaxError for other text. */
export function parseJson(text: string): Json {
  return JSON.parse(text, (_key, value: unknown, context?: { readonly source?: string }) => {
    const isInexact = typeof value === "number" && Number.isInteger(value) && !Number.isSafeInteger(value);
    return isInexact && context?.source !== undefined ? BigInt(context.source) : value;
  }) as Json;
}
