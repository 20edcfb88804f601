// Sessions of uploads to a registry (the OCI distribution specification, "Pushing blobs"): where they begin, the
// addresses that a registry names for them, and what its replies say about the bytes that it has.
import { ErrnoError } from "../../base/error.ts";
import { type HttpReply, type HttpRequest, refusePlain } from "../download/http.ts";

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

/** The status of a reply after which the same request is sent again. */
export const TRY_AGAIN: ReadonlySet<number> = new Set([408, 425, 429, 500, 502, 503, 504]);
export const NOTHING = new Uint8Array(0);

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
export function withDigest(address: string, digest: string): string {
  const plain = address.replace(/#.*$/, "");
  return `${plain}${plain.includes("?") ? "&" : "?"}digest=${encodeURIComponent(digest)}`;
}

/** Throws EBADMSG where a registry reports another digest than that of the sent blob. */
export function requireStored({ headers, url }: HttpReply, digest: string): void {
  const found = headers.get("docker-content-digest")?.trim() ?? "";
  if (found === "" || found === digest) return;
  throw new ErrnoError("EBADMSG", `UPLOAD INVALID: '${url.host}' stored '${found}' in place of '${digest}'`);
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
  return sessionIn(reply, server);
}

/** Returns the session that a reply has begun. */
export function sessionIn(reply: HttpReply, { uploads }: Pick<UploadServer, "uploads">): Session {
  const least = reply.headers.get("oci-chunk-min-length") ?? "";
  return {
    location: locationOf(reply, new URL(uploads)),
    leastPart: /^\d{1,12}$/.test(least) ? Number(least) : 0,
  };
}
