// Whether a part of a file may be put behind another one: RFC 9110, 8.8 (validators) and 14.4 (Content-Range).

export interface ContentRange {
  readonly start: number;
  /** Behind the last byte. */
  readonly end: number;
  readonly size: number;
}

/** What a part says that it is; null where that is not said in full. */
export function contentRange(headers: Headers): ContentRange | null {
  const match = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/i.exec(headers.get("content-range")?.trim() ?? "");
  if (match === null) return null;
  const [start, last, size] = [Number(match[1]), Number(match[2]), Number(match[3])];
  return start <= last && last < size ? { start, end: last + 1, size } : null;
}

/**
 * Whether a tag stands for the very bytes. A weak one says "as good as the same", a date says "not changed within this
 * second": neither is good enough for the second half of a file.
 */
export function isStrong(etag: string | null | undefined): etag is string {
  return typeof etag === "string" && /^"[^"]*"$/.test(etag);
}
