// One download to its end: tried again after cuts, going on where it was, and never believing a server more than what was
// agreed at the first answer.
import { ErrnoError } from "../base/error.ts";
import { log } from "./import-log.ts";
import {
  HTTP_LIMITS,
  type HttpLimits,
  type HttpReply,
  type HttpRequest,
  httpGet,
  TransientError,
} from "./pull-http.ts";
import { PARALLEL_LIMITS, type ParallelLimits, ParallelParts } from "./pull-parallel.ts";
import type { Spool } from "./pull-spool.ts";

export interface JobLimits extends HttpLimits {
  readonly tries: number;
  readonly firstPauseMs: number;
  /** A try that brings this much is worth as many further ones; less is what a server does to keep us for ever. */
  readonly progressBytes: number;
  readonly mainBytes: number;
  readonly sideBytes: number;
  /** Of what a file has in it, unpacked. */
  readonly contentBytes: number;
  readonly parallel: ParallelLimits;
}

export const JOB_LIMITS: JobLimits = {
  ...HTTP_LIMITS,
  tries: 7,
  firstPauseMs: 500,
  progressBytes: 64 << 10,
  mainBytes: 64 * 1024 ** 3,
  sideBytes: 1 << 20,
  contentBytes: 64 * 1024 ** 3,
  parallel: PARALLEL_LIMITS,
};

const LONGEST_PAUSE_MS = 30_000;
const TRY_AGAIN: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);

/** The server has another file now than the one we have the beginning of. */
export class ChangedError extends TransientError {}

/** Repeats `attempt` after what may go better next time. Progress in between starts the counting anew. */
export async function persistently<T>(
  limits: JobLimits,
  attempt: () => Promise<T>,
  position: () => number = () => 0,
): Promise<T> {
  let pauseMs = limits.firstPauseMs;
  for (let tries = 1; ; tries++) {
    const before = position();
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof TransientError) || error instanceof ChangedError) throw error;
      if (position() - before >= limits.progressBytes) {
        tries = 1;
        pauseMs = limits.firstPauseMs;
      }
      if (tries >= limits.tries) throw error;
      const waitMs = Math.max(pauseMs, Math.min(error.retryAfterMs, LONGEST_PAUSE_MS));
      log("notice", `${error.message}, trying again in ${Math.ceil(waitMs / 1000)}s.`);
      await Bun.sleep(waitMs);
      pauseMs = Math.min(pauseMs * 2, LONGEST_PAUSE_MS);
    }
  }
}

/** Throws what a status that is no success means. */
export function refuseStatus({ status, headers }: HttpReply, url: string): void {
  if (status >= 200 && status < 300) return;
  if (TRY_AGAIN.has(status)) {
    const seconds = Number(headers.get("retry-after") ?? 0);
    const retryAfterMs = Number.isFinite(seconds) ? seconds * 1000 : 0;
    throw new TransientError("EIO", `HTTP request to ${url} failed with code ${status}`, { retryAfterMs });
  }
  if (status === 401) throw new ErrnoError("ENOKEY", "Access to image requires authentication.");
  if (status === 404 || status === 410) throw new ErrnoError("ENOMEDIUM", `No such file: ${url}`);
  throw new ErrnoError("EIO", `HTTP request to ${url} failed with code ${status}.`);
}

/** The length a reply announces; null when it does not. */
export function announced({ headers }: HttpReply): number | null {
  const text = headers.get("content-length");
  return text !== null && /^\d{1,15}$/.test(text) ? Number(text) : null;
}

/** How a request is made: with credentials where a server wants some. */
export type Get = (url: string, request: HttpRequest) => Promise<HttpReply>;

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
 * Fills the spool from `url`. `tags` are those of what is kept already: when the server still has one of them, nothing is
 * fetched. ChangedError when the file changed under us: then all that was made of it must be made anew.
 */
export async function fetchMain(
  url: string,
  spool: Spool,
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
  readonly #spool: Spool;
  readonly #tags: readonly string[];
  readonly #limits: JobLimits;
  readonly #get: Get;

  constructor(url: string, spool: Spool, tags: readonly string[], limits: JobLimits, get: Get) {
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
    const origin2 = { url: this.#url, etag, lastModified: reply.headers.get("last-modified") };
    if (reply.status === 206) await this.#goOn(reply, body, origin2);
    else await this.#whole(reply, body, origin2);
    return { cached: null, etag, lastModified: origin2.lastModified };
  }

  #headers(isComplete: boolean): Record<string, string> {
    const { end, origin } = this.#spool;
    const headers: Record<string, string> = {};
    if (this.#tags.length > 0) headers["If-None-Match"] = this.#tags.join(", ");
    if (end === 0 || origin === null) return headers;
    // A weak tag says "as good as the same", which is not good enough for the second half of a file.
    const isStrong = origin.etag !== null && !origin.etag.startsWith("W/");
    const validator = isStrong ? origin.etag : origin.lastModified;
    if (validator !== null) headers["If-Range"] = validator;
    headers["Range"] = `bytes=${isComplete ? end - 1 : end}-`;
    return headers;
  }

  #notModified(etag: string | null): Fetched {
    const tag = etag ?? (this.#tags.length === 1 ? (this.#tags[0] as string) : null);
    if (tag === null || !this.#tags.includes(tag))
      throw new ErrnoError("EIO", "Server says that nothing changed, but not since when.");
    return { cached: tag };
  }

  #unsatisfiable(reply: HttpReply): Fetched {
    reply.body[Symbol.dispose]();
    throw new ChangedError("ESTALE", "The file on the server is another one now");
  }

  /** The answer to a request for the rest. */
  async #goOn(reply: HttpReply, body: AsyncIterable<Buffer>, origin: Omit<Known, "size">): Promise<void> {
    const range = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(reply.headers.get("content-range") ?? "");
    const before = this.#spool.origin;
    const [start, last, size] = [Number(range?.[1]), Number(range?.[2]), Number(range?.[3])];
    const isSame = before !== null && (before.size === null || before.size === size) && sameFile(before, origin);
    const isWhole = range !== null && last === size - 1 && start <= this.#spool.end && start >= this.#spool.end - 1;
    if (!isWhole || !isSame) throw new ChangedError("ESTALE", "The file on the server is another one now");
    if (size > this.#limits.mainBytes) throw tooLarge();
    this.#spool.begin({ ...origin, size });
    log("info", `Going on with the download at ${this.#spool.end} of ${size} bytes.`);
    await this.#take(body, start, size);
  }

  /** The whole file. Where we have the beginning of it already, the server's must be the same, byte for byte. */
  async #whole(reply: HttpReply, body: AsyncIterable<Buffer>, origin: Omit<Known, "size">): Promise<void> {
    const size = announced(reply);
    if (size !== null && size > this.#limits.mainBytes) throw new ErrnoError("EFBIG", "Content too large.");
    this.#spool.begin({ ...origin, size });
    await this.#take(body, 0, size, this.#partsFor(reply, origin.etag, size));
  }

  /** Further connections, for a file that is large enough and a server that can. */
  #partsFor(reply: HttpReply, etag: string | null, size: number | null): ParallelParts | null {
    const isStrong = etag !== null && !etag.startsWith("W/");
    const canSplit = isStrong && reply.headers.get("accept-ranges") === "bytes" && this.#spool.end === 0;
    if (!canSplit || size === null || size < this.#limits.parallel.fromBytes) return null;
    return new ParallelParts({ url: this.#url, etag, size }, this.#spool, this.#limits, this.#get);
  }

  async #take(
    body: AsyncIterable<Buffer>,
    from: number,
    size: number | null,
    parts: ParallelParts | null = null,
  ): Promise<void> {
    let position = from;
    for await (let chunk of body) {
      if (size !== null && position + chunk.length > size) throw new ErrnoError("EFBIG", "Content length incorrect.");
      if (position + chunk.length > this.#limits.mainBytes) throw tooLarge();
      const known = Math.min(chunk.length, this.#spool.end - position);
      if (known > 0) {
        if (!this.#spool.matches(chunk.subarray(0, known), position)) {
          throw new ChangedError("ESTALE", "The file on the server is another one now");
        }
        chunk = chunk.subarray(known);
        position += known;
      }
      if (parts !== null) chunk = chunk.subarray(0, parts.boundary - position);
      if (chunk.length > 0) this.#spool.append(chunk);
      position += chunk.length;
      parts?.consider(position, position - from);
      if (parts !== null && position === parts.boundary) break;
    }
    if (parts !== null) {
      await parts.finish();
      position = this.#spool.end;
    }
    requireWhole(position, size);
    if (position < this.#spool.end) throw new ChangedError("ESTALE", "The file on the server is another one now");
  }
}

interface Known {
  readonly url: string;
  readonly etag: string | null;
  readonly lastModified: string | null;
  readonly size: number | null;
}

function sameFile(a: Omit<Known, "size">, b: Omit<Known, "size">): boolean {
  if (a.etag !== null && b.etag !== null) return a.etag === b.etag;
  return a.lastModified === null || b.lastModified === null || a.lastModified === b.lastModified;
}
