// Downloads of files beside an image: small ones into memory, possibly large ones into a file.
import { ftruncateSync, writeSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from "node:zlib";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { formatSpan } from "../../base/text/format.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { openForeign, readForeign } from "../../kernel/file/foreign-file.ts";
import type { LinkPolicy } from "../../kernel/file/status.ts";
import { readChunks } from "../stream/archive.ts";
import { type Get, type HttpReply, httpGet } from "./http.ts";
import { announced, refuseStatus, requireWhole, tooLarge } from "./job.ts";
import { JOB_LIMITS, type JobLimits } from "./limits.ts";
import { persistently } from "./retry.ts";
import { isFileUrl } from "./url.ts";

/** Downloads a small file into memory; returns null when the server does not have it. */
export async function fetchSide(
  url: string,
  limits: JobLimits,
  get: Get = httpGet,
  links: LinkPolicy = "no-follow",
): Promise<Buffer | null> {
  if (isFileUrl(url)) return readLocal(url, limits, links);
  return persistently(limits, async () => {
    const reply = await get(url, { limits });
    using body = reply.body;
    if (reply.status === 404 || reply.status === 410) return null;
    refuseStatus(reply, url);
    return decoded(await inMemory(reply, body, limits), reply, limits);
  });
}

/** Returns the whole body. Throws EFBIG when it is larger than such a file may be. */
async function inMemory(reply: HttpReply, body: AsyncIterable<Buffer>, limits: JobLimits): Promise<Buffer> {
  const parts: Buffer[] = [];
  const requireInTime = deadlineOf(reply, limits);
  await eachChunk(body, announced(reply), limits, (chunk) => {
    requireInTime();
    parts.push(chunk);
  });
  return Buffer.concat(parts);
}

/** Returns a function for each piece of a body, which throws where the whole file takes too long. */
function deadlineOf({ url }: HttpReply, { sideMs }: JobLimits): () => void {
  const end = performance.now() + sideMs;
  return () => {
    if (performance.now() <= end) return;
    const most = formatSpan(BigInt(sideMs) * 1000n);
    throw new ErrnoError("ETIMEDOUT", `'${url.host}' sends a small file for more than ${most}, giving up`);
  };
}

async function eachChunk(
  body: AsyncIterable<Buffer>,
  size: number | null,
  { sideBytes }: JobLimits,
  use: (chunk: Buffer, position: number) => void,
): Promise<void> {
  if (size !== null && size > sideBytes) throw tooLarge();
  let total = 0;
  for await (const chunk of body) {
    if (total + chunk.length > sideBytes) throw tooLarge();
    use(chunk, total);
    total += chunk.length;
  }
  requireWhole(total, size);
}

/** The destination of a file that is too large for memory; each attempt starts from the beginning. */
interface SideFileSink {
  begin(): void;
  write(chunk: Buffer, position: number): void;
}

/** Writes the chunks to a file of this process, over those of an earlier attempt; `onWritten` counts them. */
export function sinkOf(file: Fd, onWritten: (bytes: number) => void): SideFileSink {
  return {
    begin: () => ftruncateSync(file.number, 0),
    write: (chunk, position) => {
      onWritten(chunk.length);
      for (let at = 0; at < chunk.length; ) at += writeSync(file.number, chunk, at, chunk.length - at, position + at);
    },
  };
}

/**
 * Downloads a file of up to `limits.sideBytes` into `sink`; returns false when the server does not have it. A file that
 * the server compresses unasked is decompressed in memory, and is refused where it is large.
 */
export async function fetchSideInto(
  url: string,
  sink: SideFileSink,
  limits: JobLimits,
  get: Get = httpGet,
): Promise<boolean> {
  if (isFileUrl(url)) return readLocalInto(url, sink, limits);
  return persistently(limits, async () => {
    const reply = await get(url, { limits });
    using body = reply.body;
    if (reply.status === 404 || reply.status === 410) return false;
    refuseStatus(reply, url);
    sink.begin();
    if (codingsOf(reply).length === 0) {
      const requireInTime = deadlineOf(reply, limits);
      await eachChunk(body, announced(reply), limits, (chunk, position) => {
        requireInTime();
        sink.write(chunk, position);
      });
    } else {
      sink.write(decoded(await inMemory(reply, body, JOB_LIMITS), reply, JOB_LIMITS), 0);
    }
    return true;
  });
}

/** Returns the content codings of the body, the last first. */
function codingsOf({ headers }: HttpReply): string[] {
  const codings = (headers.get("content-encoding") ?? "").toLowerCase().split(",");
  return codings
    .map((one) => one.trim())
    .filter((one) => one !== "" && one !== "identity")
    .reverse();
}

type Decoder = (bytes: Buffer, options: { maxOutputLength: number }) => Buffer;
const DECODERS: Readonly<Record<string, Decoder>> = {
  gzip: gunzipSync,
  "x-gzip": gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

/** Decompresses a file that a server compressed without a request for it. Only for small files, in memory. */
function decoded(bytes: Buffer, reply: HttpReply, { sideBytes }: JobLimits): Buffer {
  return codingsOf(reply).reduce((packed, coding) => {
    const decode = Object.hasOwn(DECODERS, coding) ? DECODERS[coding] : undefined;
    if (decode === undefined)
      throw new ErrnoError("EPROTO", `Server compresses a file as '${coding}', which is not supported.`);
    try {
      return decode(packed, { maxOutputLength: sideBytes });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge();
      throw new ErrnoError("EPROTO", `Server sent a file as compressed with '${coding}', but it is not.`, {
        cause: error,
      });
    }
  }, bytes);
}

/** Reads a file beside a file of this host. The user did not name it, so a link is not followed. */
async function readLocal(url: string, limits: JobLimits, links: LinkPolicy): Promise<Buffer | null> {
  try {
    return await readForeign(fileURLToPath(url), limits.sideBytes, links);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    if (errnoNameOf(error) === "EFBIG") throw tooLarge();
    throw error;
  }
}

async function readLocalInto(url: string, sink: SideFileSink, limits: JobLimits): Promise<boolean> {
  try {
    const { file, size } = await openForeign(fileURLToPath(url), "no-follow");
    using _file = file;
    sink.begin();
    await eachChunk(readChunks(file), size, limits, (chunk, position) => sink.write(chunk, position));
    return true;
  } catch (error) {
    if (errnoNameOf(error) === "ENOENT") return false;
    throw error;
  }
}
