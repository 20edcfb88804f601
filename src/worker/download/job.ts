// A complete download: it is retried after interruptions, and resumed. A later reply that contradicts the first one
// (another size, another tag) is an error.
import { ErrnoError } from "../../base/error.ts";
import { log } from "../program/log.ts";
import type { Destination } from "./destination.ts";
import { type Get, type HttpBody, type HttpReply, httpGet, TransientError } from "./http.ts";
import type { JobLimits } from "./limits.ts";
import { ParallelParts } from "./parallel.ts";
import { ChangedError, persistently, retryAfter } from "./retry.ts";
import type { Origin } from "./spool-state.ts";
import { type ContentRange, contentRange, isStrong } from "./validators.ts";

const TRY_AGAIN: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** Throws the error of a status that is no success. */
export function refuseStatus({ status, headers }: HttpReply, url: string): void {
  if (status >= 200 && status < 300) return;
  if (TRY_AGAIN.has(status)) {
    const retryAfterMs = retryAfter(headers);
    throw new TransientError("EIO", `HTTP request to ${url} failed with code ${status}`, { retryAfterMs });
  }
  if (status === 401) throw new ErrnoError("ENOKEY", "Access to image requires authentication.");
  if (status === 404 || status === 410) throw new ErrnoError("ENOMEDIUM", `No such file: ${url}`);
  throw new ErrnoError("EIO", `HTTP request to ${url} failed with code ${status}.`);
}

/** Returns the announced length of a reply; null where it announces none. */
export function announced({ headers }: HttpReply): number | null {
  const text = headers.get("content-length");
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

export function tooLarge(): ErrnoError {
  return new ErrnoError("EFBIG", "File overly large, refusing.");
}

export function requireWhole(have: number, size: number | null): void {
  if (size !== null && have < size) throw new TransientError("EIO", "Download truncated.");
  if (size !== null && have > size) throw new ErrnoError("EFBIG", "Content length incorrect.");
}

export type Fetched =
  | { readonly cached: string }
  | { readonly cached: null; readonly etag: string | null; readonly lastModified: string | null };

/**
 * Fills the spool from `url`. `tags` are those of kept downloads: when the server still has one of them, nothing is
 * downloaded. Throws ChangedError when the file on the server changed meanwhile: the work on its bytes must be
 * repeated.
 */
export async function fetchMain(
  url: string,
  spool: Destination,
  tags: readonly string[],
  limits: JobLimits,
  get: Get = httpGet,
): Promise<Fetched> {
  const job = new MainJob(url, spool, tags, limits, get);
  return persistently(
    limits,
    () => job.attempt(),
    () => spool.end,
  );
}

class MainJob {
  readonly #url: string;
  readonly #spool: Destination;
  readonly #tags: readonly string[];
  readonly #limits: JobLimits;
  readonly #get: Get;
  #parts: ParallelParts | null = null;
  /** The version of the file that the spooled bytes belong to, once they were compared with the reply. */
  #compared: Origin | null = null;
  /**
   * Set when the server sent a part that does not continue the spooled bytes; the next request asks for the whole file.
   */
  #wantsWhole = false;

  constructor(url: string, spool: Destination, tags: readonly string[], limits: JobLimits, get: Get) {
    this.#get = get;
    this.#url = url;
    this.#spool = spool;
    this.#tags = tags;
    this.#limits = limits;
  }

  async attempt(): Promise<Fetched> {
    const { end, origin } = this.#spool;
    const isComplete = origin?.size != null && end === origin.size;
    const reply = await this.#get(this.#url, { limits: this.#limits, headers: this.#headers(isComplete) });
    using body = reply.body;
    const etag = reply.headers.get("etag");
    if (reply.status === 304) return this.#notModified(etag);
    if (reply.status === 416 && end > 0) return this.#unsatisfiable(reply);
    refuseStatus(reply, this.#url);
    if (etag !== null && this.#tags.includes(etag)) return { cached: etag };
    const source = { url: this.#url, etag, lastModified: reply.headers.get("last-modified") };
    if (reply.status !== 206) await this.#whole(reply, body, source);
    else if (!(await this.#goOn(reply, body, source))) return this.attempt();
    const { origin: now, end: have } = this.#spool;
    // There was a gap in front of a later part: continues with the next gap.
    if (now?.size != null && have < now.size) return this.attempt();
    return { cached: null, etag, lastModified: source.lastModified };
  }

  #headers(isComplete: boolean): Record<string, string> {
    const { end, origin } = this.#spool;
    const headers: Record<string, string> = {};
    if (this.#tags.length > 0) headers["If-None-Match"] = this.#tags.join(", ");
    if (end === 0 || !isStrong(origin?.etag) || this.#wantsWhole) return headers;
    headers["If-Range"] = origin.etag;
    headers["Range"] = isComplete ? `bytes=${end - 1}-` : `bytes=${end}-${this.#gapEnd ? this.#gapEnd - 1 : ""}`;
    return headers;
  }

  /** The end of the gap that is being filled; null for the end of the file. */
  get #gapEnd(): number | null {
    return this.#parts?.boundary ?? this.#spool.parts.next;
  }

  #notModified(etag: string | null): Fetched {
    const tag = etag ?? (this.#tags.length === 1 ? (this.#tags[0] as string) : null);
    if (tag === null || !this.#tags.includes(tag))
      throw new ErrnoError("EIO", "Server replied that the file is unchanged, but not which version.");
    return { cached: tag };
  }

  #unsatisfiable(reply: HttpReply): Fetched {
    reply.body[Symbol.dispose]();
    throw new ChangedError("ESTALE", "The file on the server has changed");
  }

  /**
   * Handles the reply to a request for the rest of the file. Returns false where the reply cannot be used, so that the
   * whole file must be requested. Parts may be joined only where both replies have the same strong tag (RFC 9110,
   * 13.1.5, 15.3.7).
   */
  async #goOn(reply: HttpReply, body: HttpBody, origin: Omit<Origin, "size">): Promise<boolean> {
    const before = this.#spool.origin;
    // Repeating the request would not end where the server sends such parts again and again.
    if (this.#spool.end === 0 || before === null || this.#wantsWhole) {
      throw new ErrnoError("EPROTO", "The server sent a part of the file that was not requested");
    }
    if (isStrong(origin.etag) && origin.etag !== before.etag) throw changed();
    const range = contentRange(reply.headers);
    const isFitting = range !== null && this.#fits(range, before.size);
    if (!isFitting || !isStrong(origin.etag)) {
      body[Symbol.dispose]();
      this.#wantsWhole = true;
      return false;
    }
    const { start, size } = range;
    if (size > this.#limits.mainBytes) throw tooLarge();
    this.#compared = null;
    this.#spool.begin({ ...origin, size });
    if (this.#parts === null && this.#spool.parts.next !== null && isStrong(origin.etag)) {
      this.#parts = new ParallelParts(
        { url: this.#url, etag: origin.etag, size },
        this.#spool,
        this.#limits,
        this.#get,
      );
      this.#parts.fill();
    }
    this.#parts ??= this.#partsFor(origin.etag, size);
    log("info", `Resuming the download at ${this.#spool.end} of ${size} bytes.`);
    await this.#take(body, start, size);
    return true;
  }

  #fits({ start, end, size }: ContentRange, known: number | null): boolean {
    const reachesEnd = end === size || end === this.#gapEnd;
    return reachesEnd && (known ?? size) === size && start <= this.#spool.end && start >= this.#spool.end - 1;
  }

  /** Receives the whole file. Its beginning must be equal, byte for byte, to the bytes that are spooled already. */
  async #whole(reply: HttpReply, body: AsyncIterable<Buffer>, origin: Omit<Origin, "size">): Promise<void> {
    const size = announced(reply);
    if (size !== null && size > this.#limits.mainBytes) throw new ErrnoError("EFBIG", "Content too large.");
    const { end, origin: before } = this.#spool;
    const isKnown = end === 0 || (isStrong(origin.etag) && origin.etag === before?.etag);
    // Until all spooled bytes have been compared, the new tag is not theirs.
    this.#spool.begin(isKnown ? { ...origin, size } : { url: this.#url, etag: null, lastModified: null, size });
    // Parts that may be of another version of the file must not be joined with this one.
    if (this.#gapEnd !== null) throw new ChangedError("ESTALE", "The server sends the whole file only");
    this.#compared = isKnown ? null : { ...origin, size };
    const canSplit = reply.headers.get("accept-ranges") === "bytes" && this.#spool.end === 0;
    this.#parts = canSplit ? this.#partsFor(origin.etag, size) : null;
    await this.#take(body, 0, size);
  }

  #allCompared(): void {
    if (this.#compared !== null) this.#spool.begin(this.#compared);
    this.#compared = null;
  }

  /** Opens further connections for a file that is large enough, on a server that can send parts; else returns null. */
  #partsFor(etag: string | null, size: number | null): ParallelParts | null {
    if (this.#spool.isSequential || !isStrong(etag)) return null;
    if (size === null || size < this.#limits.parallel.fromBytes) return null;
    return new ParallelParts({ url: this.#url, etag, size }, this.#spool, this.#limits, this.#get);
  }

  async #take(body: AsyncIterable<Buffer>, from: number, size: number | null): Promise<void> {
    let position = from;
    for await (let chunk of body) {
      if (size !== null && position + chunk.length > size) throw new ErrnoError("EFBIG", "Content length incorrect.");
      if (position + chunk.length > this.#limits.mainBytes) throw tooLarge();
      const known = Math.min(chunk.length, this.#spool.end - position);
      if (known > 0) {
        if (!this.#spool.matches(chunk.subarray(0, known), position)) throw changed();
        chunk = chunk.subarray(known);
        position += known;
        if (position === this.#spool.end) this.#allCompared();
      }
      const end = this.#gapEnd;
      if (end !== null) chunk = chunk.subarray(0, end - position);
      if (chunk.length > 0) await this.#spool.append(chunk);
      position += chunk.length;
      this.#parts?.consider(position, position - from);
      if (position === this.#gapEnd) break;
    }
    requireWhole(position, this.#gapEnd ?? size);
    if (position < this.#spool.end) throw changed();
    await this.#parts?.finish();
    this.#parts = null;
    this.#spool.joinParts();
  }
}

function changed(): ChangedError {
  return new ChangedError("ESTALE", "The file on the server has changed");
}
