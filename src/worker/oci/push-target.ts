// The registry that an image is pushed to (the OCI distribution specification): queries for blobs, uploads, the tag,
// and the errors for its refusals.
import { ErrnoError } from "../../base/error.ts";
import { formatBytes } from "../../base/text/format.ts";
import { type HttpReply, type HttpRequest, httpGet, TransientError } from "../download/http.ts";
import { JOB_LIMITS } from "../download/limits.ts";
import { persistently, retryAfter } from "../download/retry.ts";
import { log } from "../program/log.ts";
import type { PushedDocument } from "./image-config.ts";
import { PART_LIMITS } from "./part-size.ts";
import { loginCommands, type OciRegistry } from "./registry.ts";
import { BlobUpload, type StoredBlob, type UploadLimits } from "./upload.ts";
import {
  beginSession,
  NOTHING,
  requireStored,
  type Session,
  sessionIn,
  TRY_AGAIN,
  type UploadServer,
} from "./upload-session.ts";

const UPLOAD_LIMITS: UploadLimits = { ...JOB_LIMITS, ...PART_LIMITS };
const HEAD_BYTES = 64;
const REASON_LIMIT_BYTES = 16 << 10;
const REASON_LENGTH = 200;

/** One repository of a registry. Requests are retried after temporary errors. */
export class PushTarget implements UploadServer {
  readonly uploads: string;
  readonly #registry: OciRegistry;
  readonly #host: string;
  readonly #image: string;
  /** The upload session that `open()` or `mount()` has begun, until it is used. */
  #session: Session | null = null;

  constructor(registry: OciRegistry) {
    this.#registry = registry;
    this.#host = registry.address.registry;
    this.#image = registry.address.image;
    this.uploads = registry.url("blobs/uploads", "");
  }

  async send(url: string, request: HttpRequest): Promise<HttpReply> {
    return this.#isOwn(new URL(url)) ? this.#registry.get(url, request) : httpGet(url, request);
  }

  /** Begins an upload, so that a push that is not permitted fails before any work is done for it. */
  async open(): Promise<void> {
    await persistently(JOB_LIMITS, async () => {
      this.#session = await beginSession(this);
    });
  }

  /**
   * Cancels the session of `open()` or `mount()` where it was not used. Failures are ignored: registries remove old
   * sessions by themselves.
   */
  async close(): Promise<void> {
    const session = this.#session?.location;
    this.#session = null;
    if (session === undefined || !this.#isOwn(session)) return;
    try {
      const reply = await this.send(session.href, { method: "DELETE" });
      reply.body[Symbol.dispose]();
    } catch (error) {
      if (!(error instanceof ErrnoError)) throw error;
      log("debug", `Cannot cancel the unused upload: ${error.message}`);
    }
  }

  /** Whether the registry has the blob in this repository. Throws EPROTO where its size differs. */
  has(digest: string, size: number): Promise<boolean> {
    return persistently(JOB_LIMITS, async () => {
      const reply = await this.send(this.#registry.url("blobs", digest), { method: "HEAD" });
      using _body = reply.body;
      if (reply.status === 404) return false;
      // A storage server that the registry redirects to may refuse HEAD: the blob is then sent.
      if (reply.status >= 400 && !this.#isOwn(reply.url)) return false;
      await this.refuse(reply, 0);
      requireStored(reply, digest);
      const length = reply.headers.get("content-length");
      if (length !== null && Number(length) !== size)
        throw new ErrnoError(
          "EPROTO",
          `Registry '${this.#host}' has '${digest}' with ${length} bytes in place of ${size}, and it cannot be replaced`,
        );
      return true;
    });
  }

  /**
   * Returns the size and the first bytes of a blob; null where the repository does not have it, or does not report its
   * size. A registry that is busy is asked again: without an answer, all files would be packed and sent.
   */
  describe(digest: string): Promise<{ readonly size: number; readonly head: Buffer } | null> {
    const url = this.#registry.url("blobs", digest);
    return persistently(JOB_LIMITS, async () => {
      const reply = await this.send(url, { method: "HEAD" });
      using _body = reply.body;
      await this.#requireNotBusy(reply);
      const length = reply.headers.get("content-length") ?? "";
      if (reply.status !== 200 || !/^\d{1,15}$/.test(length)) return null;
      const first = await this.send(url, { headers: { Range: `bytes=0-${HEAD_BYTES - 1}` } });
      using body = first.body;
      await this.#requireNotBusy(first);
      if (first.status !== 200 && first.status !== 206) return null;
      return { size: Number(length), head: await headOf(body) };
    });
  }

  /** Throws TransientError for a registry that is busy; a storage server that it redirects to may refuse HEAD so. */
  async #requireNotBusy(reply: HttpReply): Promise<void> {
    if (TRY_AGAIN.has(reply.status) && this.#isOwn(reply.url)) await this.refuse(reply, 0);
  }

  #isOwn({ origin }: URL): boolean {
    return origin === new URL(this.uploads).origin;
  }

  /**
   * Asks the registry to link a blob of another of its repositories into this one. Returns false where it does not; the
   * session that it begins instead is used by the next upload.
   */
  async mount(digest: string, size: number | null, from: string): Promise<boolean> {
    const url = `${this.uploads}?${new URLSearchParams({ mount: digest, from })}`;
    const begun = await persistently(JOB_LIMITS, async () => {
      const reply = await this.send(url, { method: "POST", body: NOTHING });
      using _body = reply.body;
      if (TRY_AGAIN.has(reply.status)) await this.refuse(reply, 0);
      if (reply.status === 202) return sessionIn(reply, this);
      return reply.status === 201 ? "mounted" : null;
    });
    if (begun === "mounted") return size === null ? true : this.has(digest, size);
    if (begun !== null) {
      await this.close();
      this.#session = begun;
    }
    return false;
  }

  /** Sends a blob. `onSent` is called with the number of bytes that the registry has. */
  async upload(blob: StoredBlob, onSent: (offset: number) => void = () => {}): Promise<void> {
    const session = this.#session;
    this.#session = null;
    await new BlobUpload(this, blob, UPLOAD_LIMITS, { session, onSent }).run();
  }

  /** Stores the manifest under the tag of the reference. */
  async tag(manifest: PushedDocument): Promise<void> {
    const { address } = this.#registry;
    await persistently(JOB_LIMITS, async () => {
      const reply = await this.send(this.#registry.url("manifests", address.version), {
        method: "PUT",
        body: new Uint8Array(manifest.bytes),
        headers: { "Content-Type": manifest.mediaType },
      });
      using _body = reply.body;
      await this.refuse(reply, manifest.bytes.length);
      requireStored(reply, manifest.digest);
    });
  }

  async refuse(reply: HttpReply, bytes: number): Promise<void> {
    const { status } = reply;
    if (status >= 200 && status < 300) return;
    const reason = await reasonIn(reply);
    const why = reason === "" ? `code ${status}` : `code ${status}, ${reason}`;
    const where = `Registry '${this.#host}'`;
    if (TRY_AGAIN.has(status)) {
      throw new TransientError("EIO", `${where} cannot take '${this.#image}' at the moment (${why})`, {
        retryAfterMs: retryAfter(reply.headers),
      });
    }
    const image = `'${this.#image}' (${why})`;
    if (status === 401) {
      const help = `${loginCommands(this.#host)} store another one`;
      throw new ErrnoError("ENOKEY", `${where} refuses the login for a push of ${image}: ${help}.`);
    }
    if (status === 403) {
      const help = "its owner permits that, or another login has to be used";
      throw new ErrnoError("EACCES", `${where} does not let this login push ${image}: ${help}.`);
    }
    if (status === 404) {
      const help = "check the name, or create it in the registry first";
      throw new ErrnoError("ENOENT", `${where} has no repository ${image} and does not create it: ${help}.`);
    }
    if (status === 413) {
      const size = formatBytes(BigInt(bytes));
      const help = "the limit for the size of a request is in its configuration, or in that of a proxy before it";
      throw new ErrnoError("EFBIG", `${where} takes no request of ${size} for ${image}: ${help}.`);
    }
    throw new ErrnoError("EIO", `${where} refuses a push of ${image}.`);
  }
}

async function headOf(body: AsyncIterable<Buffer>): Promise<Buffer> {
  let head = Buffer.alloc(0);
  for await (const chunk of body) {
    head = Buffer.concat([head, chunk]);
    if (head.length >= HEAD_BYTES) break;
  }
  return head.subarray(0, HEAD_BYTES);
}

/** Returns the reason in an error reply, in one line; empty where there is none in the form of the specification. */
async function reasonIn(reply: HttpReply): Promise<string> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const chunk of reply.body) {
      size += chunk.length;
      if (size > REASON_LIMIT_BYTES) return "";
      parts.push(chunk);
    }
    const { errors } = JSON.parse(Buffer.concat(parts).toString()) as { errors?: unknown };
    const [first] = Array.isArray(errors) ? errors : [];
    const { code, message } = (first ?? {}) as { code?: unknown; message?: unknown };
    const words = [code, message].filter((word): word is string => typeof word === "string" && word !== "");
    return words
      .join(": ")
      .replace(/[^\x20-\x7e]/g, "?")
      .slice(0, REASON_LENGTH);
  } catch {
    return "";
  }
}
