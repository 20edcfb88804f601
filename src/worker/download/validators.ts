// Whether parts of a file may be joined: RFC 9110, 8.8 (validators) and 14.4 (Content-Range).

export interface ContentRange {
  readonly start: number;
  /** The offset after the last byte. */
  readonly end: number;
  readonly size: number;
}

/** Returns the range of a partial reply; null where it is incomplete. */
export function contentRange(headers: Headers): ContentRange | null {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/i.exec(headers.get("content-range")?.trim() ?? "");
  if (match === null) return null;
  const [start, last, size] = [Number(match[1]), Number(match[2]), Number(match[3])];
  return start <= last && last < size ? { start, end: last + 1, size } : null;
}

/**
 * Whether a tag identifies exactly these bytes. A weak tag means "equivalent", and a date "not changed within this
 * second": neither is enough to join two parts.
 */
export function isStrong(etag: string | null | undefined): etag is string {
  return typeof etag === "string" && /^"[^"]*"$/.test(etag);
}
