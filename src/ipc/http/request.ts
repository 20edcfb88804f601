// The head of an HTTP request, parsed strictly (RFC 9112): a head that two programs could interpret differently is
// refused.

export interface HttpRequest {
  readonly method: "GET" | "HEAD";
  /** As it was sent, without the query. */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly accept: string;
}

/** A refusal of a request, with the status of the reply. */
type Refusal = 400 | 405 | 413 | 505;

const TOKEN = /^[!#$%&'*+\-.^_`|~\w]+$/;
/** Visible characters, blanks and tabs. */
const VALUE = /^[\t -~\x80-\xff]*$/;
const TARGET = /^[!-~]+$/;
const FIELDS_LIMIT = 64;

/**
 * Parses the lines of a head, as latin1 and without the empty line at its end. Returns the request, or the status of
 * the refusal.
 */
export function parseHead(text: string): HttpRequest | Refusal {
  const [first = "", ...lines] = text.split("\r\n");
  const [method = "", target = "", version = "", ...rest] = first.split(" ");
  if (rest.length > 0 || !TOKEN.test(method) || !TARGET.test(target)) return 400;
  if (!/^HTTP\/\d\.\d$/.test(version)) return 400;
  if (!version.startsWith("HTTP/1.")) return 505;
  const fields = fieldsOf(lines);
  if (fields === null) return 400;
  const hosts = fields.get("host") ?? [];
  if (hosts.length > 1 || (hosts.length === 0 && version !== "HTTP/1.0")) return 400;
  if (method !== "GET" && method !== "HEAD") return 405;
  if (fields.has("transfer-encoding")) return 400;
  const lengths = fields.get("content-length") ?? [];
  if (lengths.length > 1 || lengths.some((length) => !/^\d{1,15}$/.test(length))) return 400;
  if (lengths.some((length) => Number(length) > 0)) return 413;
  const place = placeOf(target);
  if (place === null) return 400;
  return { method, ...place, accept: (fields.get("accept") ?? []).join(",") };
}

/** Returns the header fields by their names in lower case; null where a line is no field. */
function fieldsOf(lines: readonly string[]): Map<string, string[]> | null {
  if (lines.length > FIELDS_LIMIT) return null;
  const fields = new Map<string, string[]>();
  for (const line of lines) {
    const colon = line.indexOf(":");
    const name = line.slice(0, Math.max(colon, 0)).toLowerCase();
    // trim() and not a pattern: one for blanks at the end takes quadratic time for long runs of blanks.
    const value = line.slice(colon + 1);
    if (!TOKEN.test(name) || !VALUE.test(value)) return null;
    const values = fields.get(name);
    if (values === undefined) fields.set(name, [value.trim()]);
    else values.push(value.trim());
  }
  return fields;
}

/** A path with a query, alone or after `http://HOST`. */
function placeOf(target: string): Pick<HttpRequest, "path" | "query"> | null {
  const [, place] = /^(?:http:\/\/[^/?#]+)?(\/[^#]*)$/i.exec(target) ?? [];
  if (place === undefined) return null;
  const mark = place.indexOf("?");
  if (mark < 0) return { path: place, query: new URLSearchParams() };
  return { path: place.slice(0, mark), query: new URLSearchParams(place.slice(mark + 1)) };
}
