// A call as a Varlink message (https://varlink.org/Method-Call).
import { type JsonObject, parseJson } from "../../base/text/json.ts";

/** A parsed call; its method and parameters are not checked yet. */
export interface Request {
  readonly method: string;
  readonly parameters: JsonObject;
  readonly duplicates: readonly string[];
  readonly more: boolean;
  readonly oneway: boolean;
}

const KEYS = new Set(["method", "parameters", "more", "oneway", "upgrade"]);

/** Parses a call; returns null for text that is no call. */
export function readRequest(text: string): Request | null {
  try {
    const { value, duplicates } = parseJson(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    if (Object.keys(value).some((key) => !KEYS.has(key))) return null;
    const { method, parameters = null, more = false, oneway = false, upgrade = false } = value;
    if (typeof method !== "string" || typeof parameters !== "object" || Array.isArray(parameters)) return null;
    const flags = [more, oneway, upgrade];
    if (flags.some((flag) => typeof flag !== "boolean") || flags.filter((flag) => flag === true).length > 1)
      return null;
    return { method, parameters: parameters ?? {}, duplicates, more: more === true, oneway: oneway === true };
  } catch {
    return null;
  }
}
