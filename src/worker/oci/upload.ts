// The upload of one blob to a registry (the OCI distribution specification, "Pushing blobs"): a session at an address
// that the registry names, the bytes in parts, and the digest at the end. After an interruption the registry is asked
// how much it has. A registry that takes no parts gets the blob whole: at the end of a session, or, where it refuses
// that as well, in the request that would begin one.
import { readSync } from "node:fs";
import { ErrnoError } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { type HttpReply, type HttpRequest, TransientError } from "../download/http.ts";
import { persistently, type RetryLimits } from "../download/retry.ts";
import { type PartLimits, PartSize } from "./part-size.ts";
import {
  beginSession,
  locationOf,
  NOTHING,
  offsetOf,
  requireStored,
  type Session,
  TRY_AGAIN,
  type UploadServer,
  withDigest,
} from "./upload-session.ts";

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

export interface UploadLimits extends RetryLimits, PartLimits {}

const PIECE_BYTES = 1 << 20;
/** How often a registry may fail to report what it has of a session, until that session is given up. */
const UNKNOWN_STATES = 3;
/** The status of a request that a registry does not have, and never takes. */
const NOT_TAKEN: ReadonlySet<number> = new Set([405, 411, 415, 501]);
/** The status of a session that is lost, of a part at another offset; or of a registry that takes no parts. */
const LOST: ReadonlySet<number> = new Set([404, 410, 416]);
const BINARY = { "Content-Type": "application/octet-stream" };

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
  #unknownStates = 0;
  #mayBeThere = false;
  #way: "parts" | "whole" | "at-once" = "parts";
  /** How many requests were refused as if the session were lost, since the last progress. */
  #losses = 0;

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
    if (this.#way === "at-once") return this.#finish(this.#server.uploads, "POST", this.#whole());
    if (this.#location !== null && this.#needsState) await this.#askState();
    if (this.#location === null) await this.#begin();
    // After an interruption from here on, the offset must be queried.
    this.#needsState = true;
    const isWhole = this.#offset === 0 && (this.#way === "whole" || size <= this.#limits.wholeBytes);
    while (!isWhole && this.#offset < size) await this.#sendPart();
    await this.#finish(this.#address(), "PUT", isWhole ? this.#whole() : NOTHING);
  }

  #whole(): NonNullable<HttpRequest["body"]> {
    const { size } = this.#blob;
    if (size <= this.#limits.wholeBytes) return this.#blob.read(0, size);
    return { size, pieces: () => this.#pieces() };
  }

  *#pieces(): Generator<Uint8Array<ArrayBuffer>> {
    const { size } = this.#blob;
    for (let from = 0; from < size; from += PIECE_BYTES) {
      yield this.#blob.read(from, Math.min(PIECE_BYTES, size - from));
      this.#onSent(Math.min(from + PIECE_BYTES, size));
    }
  }

  async #begin(): Promise<void> {
    const { location, leastPart } = await beginSession(this.#server);
    this.#location = location;
    this.#offset = 0;
    this.#parts.atLeast(leastPart);
  }

  /**
   * Queries the offset of the session; forgets a session that the registry no longer has. A registry that is busy is
   * asked again: a new session would begin with the first byte.
   */
  async #askState(): Promise<void> {
    const reply = await this.#server.send(this.#address(), {});
    using _body = reply.body;
    const offset = offsetOf(reply.headers);
    const isKnown = (reply.status === 204 || reply.status === 202) && offset !== null && offset <= this.#blob.size;
    if (!isKnown && TRY_AGAIN.has(reply.status) && ++this.#unknownStates < UNKNOWN_STATES)
      await this.#server.refuse(reply, 0);
    this.#unknownStates = 0;
    if (isKnown) this.#take(reply, offset);
    else this.#location = null;
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

  /**
   * Throws unless the registry took a request with bytes. A lost session or a different offset is a temporary error,
   * and so is a request that it never takes, where another way is left.
   */
  async #requireTaken(reply: HttpReply, bytes: number): Promise<void> {
    const { status } = reply;
    const isLost = LOST.has(status);
    if (isLost) this.#losses++;
    if (NOT_TAKEN.has(status) || this.#losses > 1) this.#otherWay(status, bytes);
    if (status === 404 || status === 410) {
      this.#location = null;
      throw new TransientError("EIO", `${this.#registry} no longer has the upload`);
    }
    if (status === 416) throw new TransientError("EIO", `${this.#registry} expects another part of the upload`);
    await this.#server.refuse(reply, bytes);
  }

  /** Chooses the next way to send the blob, and throws, so that it is tried. Returns where none is left. */
  #otherWay(status: number, bytes: number): void {
    if (this.#way === "at-once") return;
    const wasWhole = bytes === this.#blob.size;
    this.#way = wasWhole ? "at-once" : "whole";
    this.#location = null;
    this.#losses = 0;
    const what = wasWhole ? "a blob at the end of an upload" : "a blob in parts";
    throw new TransientError("EIO", `${this.#registry} does not take ${what} (code ${status})`);
  }

  /** Sends the last request, which has the digest: the end of a session, or the blob without a session. */
  async #finish(address: string, method: "PUT" | "POST", body: NonNullable<HttpRequest["body"]>): Promise<void> {
    const url = withDigest(address, this.#blob.digest);
    const bytes = body instanceof Uint8Array ? body.length : body.size;
    this.#mayBeThere = true;
    const limits = this.#parts.httpLimits(Math.max(bytes, this.#limits.settleBytes(this.#blob.size)));
    const reply = await this.#server.send(url, { method, body, headers: BINARY, limits });
    using _body = reply.body;
    await this.#requireTaken(reply, bytes);
    if (method === "POST" && reply.status !== 201)
      throw new ErrnoError(
        "EPROTO",
        `${this.#registry} takes a blob neither in parts nor whole (code ${reply.status})`,
      );
    requireStored(reply, this.#blob.digest);
    this.#sent(this.#blob.size);
  }

  #take(reply: HttpReply, offset: number): void {
    if (reply.headers.has("location")) this.#location = locationOf(reply, new URL(this.#server.uploads));
    this.#offset = offset;
    this.#sent(offset);
  }

  #sent(offset: number): void {
    if (offset > this.#furthest) this.#losses = 0;
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
