// One HTTP exchange. Redirects are followed here, so that a redirect must pass the same checks as an address; a body
// that stalls is abandoned. Nothing is decoded: hashes are computed over the bytes as sent.

import { errnoNumber, errnoText } from "../../base/errno.ts";
import { ErrnoError } from "../../base/error.ts";
import { COMPATIBLE_WITH, PROGRAM_VERSION } from "../../base/vocabulary/version.ts";
import { keepWhenInterrupted } from "../program/abandon.ts";
import { trustedAuthorities } from "./certificates.ts";

export interface HttpLimits {
  /** The deadline of the headers. */
  readonly answerMs: number;
  /** A body that was slower than `slowBytesPerSecond` for this long, while it was waited for, is abandoned. */
  readonly slowMs: number;
  readonly slowBytesPerSecond: number;
  readonly redirects: number;
}

export const HTTP_LIMITS: HttpLimits = { answerMs: 60_000, slowMs: 60_000, slowBytesPerSecond: 30, redirects: 20 };

const USER_AGENT = `systemd-pull/${COMPATIBLE_WITH} (${PROGRAM_VERSION})`;

/** An error that may be temporary: the request can be retried. */
export class TransientError extends ErrnoError {
  readonly retryAfterMs: number;

  constructor(errnoName: string, message: string, options?: { cause?: unknown; retryAfterMs?: number }) {
    super(errnoName, message, options);
    this.retryAfterMs = options?.retryAfterMs ?? 0;
  }
}

/**
 * Nothing serves at the address, and nothing has since this program was started: the address is wrong, or the server is
 * down for longer. A server that has answered before is probably being restarted, which is a TransientError.
 */
export class NoServerError extends TransientError {}

export interface HttpReply {
  readonly status: number;
  readonly headers: Headers;
  /** The address of the reply, after redirects. */
  readonly url: URL;
  /** The body, which must be read to its end or closed. */
  readonly body: HttpBody;
}

/** A function that makes a request: `get`, or one that adds credentials where a server requires them. */
export type Get = (url: string, request: HttpRequest) => Promise<HttpReply>;

const connections = new Set<AbortController>();
/** The hosts, with ports, that have answered a request. */
const answered = new Set<string>();

// An interrupted worker aborts its connections first: bytes that arrive while it saves the download would be lost.
keepWhenInterrupted({
  keep: () => {
    for (const connection of connections) connection.abort();
  },
  [Symbol.dispose]: () => {},
});

/** The body of a reply as an iterable of chunks. Throws TransientError when it ends early, or arrives too slowly. */
export class HttpBody implements AsyncIterable<Buffer>, Disposable {
  readonly #response: Response;
  readonly #abort: AbortController;
  readonly #limits: HttpLimits;

  constructor(response: Response, abort: AbortController, limits: HttpLimits) {
    this.#response = response;
    this.#abort = abort;
    this.#limits = limits;
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer> {
    const reader = this.#response.body?.getReader();
    if (reader === undefined) return;
    const { slowMs, slowBytesPerSecond } = this.#limits;
    const tickMs = Math.min(1000, slowMs / 2);
    let isWaiting = false;
    let waitedMs = 0;
    let bytes = 0;
    // Counts ticks and not a clock: the time in which this process is stopped, or writes to a slow disk, is not the
    // server's.
    const timer = setInterval(() => {
      if (isWaiting) waitedMs += tickMs;
      if (waitedMs < slowMs) return;
      if ((bytes * 1000) / waitedMs < slowBytesPerSecond) this.#abort.abort(tooSlow());
      waitedMs = 0;
      bytes = 0;
    }, tickMs);
    try {
      for (;;) {
        isWaiting = true;
        const { done, value } = await reader.read().catch((error: unknown) => {
          throw this.#abort.signal.aborted ? this.#abort.signal.reason : cut(error, new URL(this.#response.url));
        });
        isWaiting = false;
        if (done) return;
        bytes += value.length;
        yield Buffer.from(value.buffer, value.byteOffset, value.byteLength);
      }
    } finally {
      clearInterval(timer);
      this[Symbol.dispose]();
    }
  }

  [Symbol.dispose](): void {
    connections.delete(this.#abort);
    this.#abort.abort();
  }
}

function tooSlow(): TransientError {
  return new TransientError("ETIMEDOUT", "Download too slow, giving up");
}

/** Matches the codes of errors of certificates that are not trusted (the reasons of openssl-verify(1)). */
const UNTRUSTED = /CERT|SELF_SIGNED|SIGNATURE|HOSTNAME_MISMATCH|INVALID_CA|CRL/;
const OTHER_NAME = "ERR_TLS_CERT_ALTNAME_INVALID";
/** Advice for programmers in the engine's error texts; it is removed. */
const ADVICE = /\.? For more information, pass .*$/s;

/**
 * Returns the host of the proxy that the environment names for `url`, for messages; null where there is none, or where
 * $no_proxy may except the host of the URL.
 */
function proxyOf(url: URL): string | null {
  const scheme = url.protocol.replace(":", "");
  const names = [`${scheme}_proxy`, "all_proxy"].flatMap((name) => [name, name.toUpperCase()]);
  const proxy = names.map((name) => process.env[name]).find((value) => value) ?? "";
  const hasExceptions = Boolean(process.env["no_proxy"] || process.env["NO_PROXY"]);
  return hasExceptions || !URL.canParse(proxy) ? null : new URL(proxy).host;
}

/** The texts of gai_strerror(3). */
const RESOLVER_ERRORS: Readonly<Record<string, string>> = {
  ENOTFOUND: "Name or service not known",
  EAI_AGAIN: "Temporary failure in name resolution",
};

function cut(cause: unknown, url: URL): ErrnoError {
  const text = (cause instanceof Error ? cause.message : String(cause)).replace(ADVICE, "");
  const { code } = cause as { code?: unknown };
  if (typeof code === "string" && UNTRUSTED.test(code)) {
    const why = code === OTHER_NAME ? "it is for another name" : text;
    return new ErrnoError("EPROTO", `The certificate of '${url.host}' is refused: ${why}`, { cause });
  }
  const isErrno = typeof code === "string" && errnoNumber(code) !== undefined;
  const proxy = proxyOf(url);
  const way = proxy === null ? "" : ` through the proxy '${proxy}'`;
  const resolver = typeof code === "string" ? RESOLVER_ERRORS[code] : undefined;
  const reason = isErrno ? errnoText(code) : (resolver ?? text);
  const isMissing = proxy === null && !answered.has(url.host) && (code === "ECONNREFUSED" || code === "ENOTFOUND");
  const Kind = isMissing ? NoServerError : TransientError;
  return new Kind("ECONNRESET", `Connection to '${url.host}'${way} failed: ${reason}`, { cause });
}

const REDIRECTS: ReadonlySet<number> = new Set([300, 301, 302, 303, 307, 308]);
/** Headers that are sent to the origin of the request only: not after a redirect to another one. */
const PRIVATE_HEADERS = ["authorization", "cookie", "proxy-authorization"];

/** A body that is too large for memory. It is read again where the request is repeated. */
interface StreamedBody {
  readonly size: number;
  pieces(): Iterable<Uint8Array<ArrayBuffer>>;
}

export interface HttpRequest {
  readonly headers?: Readonly<Record<string, string>>;
  readonly limits?: HttpLimits;
  /** GET unless given. */
  readonly method?: "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** The body of the request. It is sent again after a redirect with the status 307 or 308. */
  readonly body?: Uint8Array<ArrayBuffer> | StreamedBody;
  /** The body as a form. It is sent to this address only: a redirect is then an error. */
  readonly form?: URLSearchParams;
}

/** Whether a redirect is followed: a request that changes something is repeated only for the statuses 307 and 308. */
function isFollowed({ status }: HttpReply, { method }: HttpRequest): boolean {
  if (method === undefined || method === "HEAD") return REDIRECTS.has(status);
  return status === 307 || status === 308;
}

/**
 * Makes a request, GET unless `request` says otherwise, and follows redirects. A reply of any status is returned.
 * Throws TransientError or ErrnoError where there is no reply, and for a redirect that is refused.
 */
export async function httpGet(url: string, request: HttpRequest = {}): Promise<HttpReply> {
  const limits = request.limits ?? HTTP_LIMITS;
  const headers = new Headers({ "User-Agent": USER_AGENT, "Accept-Encoding": "identity", ...request.headers });
  const forOthers = new Headers(headers);
  for (const name of PRIVATE_HEADERS) forOthers.delete(name);
  const first = new URL(url);
  const { origin } = first;
  let at = first;
  for (let hops = 0; ; hops++) {
    const reply = await exchange(at, at.origin === origin ? headers : forOthers, limits, request);
    if (request.form !== undefined) return reply;
    const location = isFollowed(reply, request) ? reply.headers.get("location") : null;
    if (location === null) return reply;
    reply.body[Symbol.dispose]();
    if (hops >= limits.redirects) throw new ErrnoError("ELOOP", `Too many redirects from '${url}'`);
    const next = withLoginOf(first, redirectTarget(location, at));
    if (request.body !== undefined) refusePlain(next, at);
    at = next;
  }
}

function redirectTarget(location: string, from: URL): URL {
  const target = URL.canParse(location, from.href) ? new URL(location, from) : null;
  if (target === null || (target.protocol !== "http:" && target.protocol !== "https:")) {
    throw new ErrnoError("EPROTONOSUPPORT", `Refusing redirect to '${location}'`);
  }
  return target;
}

/** Adds the login of the first address to another one of the same origin, as curl(1) does: absolute ones have none. */
function withLoginOf(first: URL, target: URL): URL {
  if (target.origin !== first.origin || target.username !== "" || target.password !== "") return target;
  target.username = first.username;
  target.password = first.password;
  return target;
}

/** Throws EPROTO where a redirect leads from https to an address without it. */
export function refusePlain(target: URL, from: URL): void {
  if (from.protocol !== "https:" || target.protocol === "https:") return;
  throw new ErrnoError("EPROTO", `Refusing to follow '${from.host}' to '${target.origin}': it is not https`);
}

/** Without a size in the headers, a stream would be sent in chunks, which some registries do not take. */
function withSize(headers: Headers, body: NonNullable<HttpRequest["body"]>): Headers {
  if (body instanceof Uint8Array) return headers;
  const sized = new Headers(headers);
  sized.set("Content-Length", String(body.size));
  return sized;
}

function streamOf(body: NonNullable<HttpRequest["body"]>): Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array> {
  if (body instanceof Uint8Array) return body;
  const pieces = body.pieces()[Symbol.iterator]();
  return new ReadableStream({
    pull: (stream) => {
      const { done, value } = pieces.next();
      if (done) stream.close();
      else stream.enqueue(value);
    },
  });
}

async function exchange(url: URL, headers: Headers, limits: HttpLimits, request: HttpRequest): Promise<HttpReply> {
  // First: where this host's list cannot be read, that is no fault of the connection.
  const tls = url.protocol === "https:" ? { tls: await trustedAuthorities() } : {};
  const abort = new AbortController();
  connections.add(abort);
  const late = () => abort.abort(new TransientError("ETIMEDOUT", `No answer from '${url.host}'`));
  const timer = setTimeout(late, limits.answerMs);
  try {
    const response = await fetch(url, {
      headers: request.body === undefined ? headers : withSize(headers, request.body),
      redirect: "manual",
      signal: abort.signal,
      decompress: false,
      ...(request.method === undefined ? {} : { method: request.method }),
      ...(request.body === undefined ? {} : { body: streamOf(request.body) }),
      ...(request.form === undefined ? {} : { method: "POST", body: request.form }),
      ...tls,
    });
    answered.add(url.host);
    const body = new HttpBody(response, abort, limits);
    return { status: response.status, headers: response.headers, url, body };
  } catch (error) {
    connections.delete(abort);
    throw abort.signal.aborted ? abort.signal.reason : cut(error, url);
  } finally {
    clearTimeout(timer);
  }
}
