// The upload of one blob to a registry (the OCI distribution specification, "Pushing blobs"): a session at an address
// that the registry names, the bytes in parts, and the digest at the end. After an interruption the registry is asked
// how much it has.
import { readSync } from "node:fs";
import { ErrnoError } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { type HttpReply, type HttpRequest, refusePlain, TransientError } from "../download/http.ts";
import { persistently, type RetryLimits } from "../download/retry.ts";
import { type PartLimits, PartSize } from "./part-size.ts";

/** A blob that can be read at any offset, repeatedly. */
export interface StoredBlob {
  readonly digest: string;
  readonly size: number;
  /** Returns `length` bytes from the offset `from` on, which must be inside the blob. */
  read(from: number, length: number): Uint8Array<ArrayBuffer>;
}

/** Returns the content of `file` as a blob; the caller still owns the file. */
export function blobInFile(file: Fd, { digest, size }: Pick<StoredBlob, "digest" | "size">): StoredBlob {
  const read = (from: number, length: number) => {
    const bytes = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      const count = readSync(file.number, bytes, at, length - at, from + at);
      if (count === 0) throw new ErrnoError("EIO", `The file of layer '${digest}' became shorter while it was sent`);
      at += count;
    }
    return bytes;
  };
  return { digest, size, read };
}

/** Returns `bytes` as a blob. */
export function blobInMemory(bytes: Buffer, digest: string): StoredBlob {
  const read = (from: number, length: number) => new Uint8Array(bytes.subarray(from, from + length));
  return { digest, size: bytes.length, read };
}

/** The functions of a registry that an upload needs. */
export interface UploadServer {
  /** The address at which sessions begin. */
  readonly uploads: string;
  /** Sends a request. Credentials are sent to the registry itself, and to no other origin. */
  send(url: string, request: HttpRequest): Promise<HttpReply>;
  /** Throws the error of a status that is no success; `bytes` is the size of the request. */
  refuse(reply: HttpReply, bytes: number): Promise<void>;
  has(digest: string, size: number): Promise<boolean>;
}

export interface UploadLimits extends RetryLimits, PartLimits {}

const NOTHING = new Uint8Array(0);
const BINARY = { "Content-Type": "application/octet-stream" };

/** Returns the number of bytes that a registry reports to have, from its header Range; null where there is none. */
export function offsetOf(headers: Headers): number | null {
  const match = /^(?:bytes=)?0-(\d{1,15})$/.exec(headers.get("range")?.trim() ?? "");
  if (match === null) return null;
  const last = Number(match[1]);
  // `0-0` means no byte or one byte. A part of one byte is always the last one, so that it means none here.
  return last === 0 ? 0 : last + 1;
}

/**
 * Returns the address that a reply names for the next request. Throws EPROTO where it names none, or one that is
 * refused.
 */
export function locationOf(reply: HttpReply, registry: URL): URL {
  const text = reply.headers.get("location") ?? "";
  const url = text !== "" && URL.canParse(text, reply.url.href) ? new URL(text, reply.url) : null;
  if (url === null || (url.protocol !== "http:" && url.protocol !== "https:")) {
    throw new ErrnoError(
      "EPROTO",
      `Registry '${registry.host}' names no usable address to continue the upload (header 'Location')`,
    );
  }
  refusePlain(url, registry);
  return url;
}

/** Adds the digest to the address of a session, whose other parameters are kept unchanged: they may be signed. */
function withDigest(address: string, digest: string): string {
  const plain = address.replace(/#.*$/, "");
  return `${plain}${plain.includes("?") ? "&" : "?"}digest=${encodeURIComponent(digest)}`;
}

/** Throws EBADMSG where a registry reports another digest than that of the sent blob. */
export function requireStored({ headers, url }: HttpReply, digest: string): void {
  const found = headers.get("docker-content-digest")?.trim() ?? "";
  if (found === "" || found === digest) return;
  throw new ErrnoError("EBADMSG", `UPLOAD INVALID: '${url.host}' stored '${found}' in place of '${digest}'`);
}

/** Sends one blob. */
export class BlobUpload {
  readonly #server: UploadServer;
  readonly #blob: StoredBlob;
  readonly #parts: PartSize;
  readonly #limits: UploadLimits;
  readonly #onSent: (offset: number) => void;
  #location: URL | null;
  #offset = 0;
  /** The largest offset so far: a new session that begins at 0 is no progress. */
  #furthest = 0;
  #needsState = false;
  #mayBeThere = false;

  /** `session` is one that has begun already; `onSent` is called with the number of bytes that the registry has. */
  constructor(
    server: UploadServer,
    blob: StoredBlob,
    limits: UploadLimits,
    { session = null, onSent = () => {} }: { session?: Session | null; onSent?: (offset: number) => void } = {},
  ) {
    this.#server = server;
    this.#blob = blob;
    this.#limits = limits;
    this.#parts = new PartSize(limits);
    this.#location = session?.location ?? null;
    if (session !== null) this.#parts.atLeast(session.leastPart);
    this.#onSent = onSent;
  }

  /** Sends the blob; resumes it after interruptions and temporary errors. */
  async run(): Promise<void> {
    await persistently(
      this.#limits,
      () => this.#attempt(),
      () => this.#furthest,
    );
  }

  async #attempt(): Promise<void> {
    const { digest, size } = this.#blob;
    if (this.#mayBeThere && (await this.#server.has(digest, size))) return;
    if (this.#location !== null && this.#needsState) await this.#askState();
    if (this.#location === null) await this.#begin();
    // After an interruption from here on, the offset must be queried.
    this.#needsState = true;
    const isSmall = this.#offset === 0 && size <= this.#limits.wholeBytes;
    while (!isSmall && this.#offset < size) await this.#sendPart();
    await this.#finish(isSmall ? this.#blob.read(0, size) : NOTHING);
  }

  async #begin(): Promise<void> {
    const { location, leastPart } = await beginSession(this.#server);
    this.#location = location;
    this.#offset = 0;
    this.#parts.atLeast(leastPart);
  }

  /** Queries the offset of the session; forgets a session that the registry no longer has. */
  async #askState(): Promise<void> {
    const reply = await this.#server.send(this.#address(), {});
    using _body = reply.body;
    const offset = offsetOf(reply.headers);
    if ((reply.status !== 204 && reply.status !== 202) || offset === null || offset > this.#blob.size) {
      this.#location = null;
      return;
    }
    this.#take(reply, offset);
  }

  async #sendPart(): Promise<void> {
    const from = this.#offset;
    const part = this.#blob.read(from, Math.min(this.#parts.bytes, this.#blob.size - from));
    const since = performance.now();
    const reply = await this.#server.send(this.#address(), {
      method: "PATCH",
      body: part,
      headers: { ...BINARY, "Content-Range": `${from}-${from + part.length - 1}` },
      limits: this.#parts.httpLimits(part.length),
    });
    using _body = reply.body;
    await this.#requireTaken(reply, part.length);
    const offset = offsetOf(reply.headers) ?? from + part.length;
    if (offset > from + part.length) {
      throw new ErrnoError(
        "EPROTO",
        `${this.#registry} says that it has ${offset} bytes of an upload, of which ${from + part.length} were sent`,
      );
    }
    if (offset <= from)
      throw new TransientError("EIO", `${this.#registry} has stored nothing of the part that was sent`);
    this.#take(reply, offset);
    const stored = offset - from;
    if (stored === part.length) this.#parts.took(stored, performance.now() - since);
    // Counts as a try: a registry that takes a byte of each part must not prolong the upload without a limit.
    else if (stored < this.#limits.progressBytes)
      throw new TransientError(
        "EIO",
        `${this.#registry} has stored only ${stored} of ${part.length} bytes that were sent`,
      );
  }

  /** Throws unless the registry took the part. A lost session or a different offset is a temporary error. */
  async #requireTaken(reply: HttpReply, bytes: number): Promise<void> {
    if (reply.status === 404 || reply.status === 410) {
      this.#location = null;
      throw new TransientError("EIO", `${this.#registry} no longer has the upload`);
    }
    if (reply.status === 416) throw new TransientError("EIO", `${this.#registry} expects another part of the upload`);
    await this.#server.refuse(reply, bytes);
  }

  async #finish(body: Uint8Array<ArrayBuffer>): Promise<void> {
    const url = withDigest(this.#address(), this.#blob.digest);
    this.#mayBeThere = true;
    const limits = this.#parts.httpLimits(Math.max(body.length, this.#limits.settleBytes(this.#blob.size)));
    const reply = await this.#server.send(url, { method: "PUT", body, headers: BINARY, limits });
    using _body = reply.body;
    await this.#requireTaken(reply, body.length);
    requireStored(reply, this.#blob.digest);
    this.#sent(this.#blob.size);
  }

  #take(reply: HttpReply, offset: number): void {
    if (reply.headers.has("location")) this.#location = locationOf(reply, new URL(this.#server.uploads));
    this.#offset = offset;
    this.#sent(offset);
  }

  #sent(offset: number): void {
    this.#furthest = Math.max(this.#furthest, offset);
    this.#onSent(offset);
  }

  get #registry(): string {
    return `Registry '${new URL(this.#server.uploads).host}'`;
  }

  #address(): string {
    return this.#location?.href ?? "";
  }
}

/** An upload session that has begun. */
export interface Session {
  readonly location: URL;
  /** The minimum size of parts that the registry requires, in bytes; 0 for none. */
  readonly leastPart: number;
}

/** Begins an upload session. */
export async function beginSession(server: UploadServer): Promise<Session> {
  const reply = await server.send(server.uploads, { method: "POST", body: NOTHING });
  using _body = reply.body;
  await server.refuse(reply, 0);
  const least = reply.headers.get("oci-chunk-min-length") ?? "";
  return {
    location: locationOf(reply, new URL(server.uploads)),
    leastPart: /^\d{1,12}$/.test(least) ? Number(least) : 0,
  };
}
