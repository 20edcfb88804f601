// Downloads of small files, in memory.
import { fileURLToPath } from "node:url";
import { brotliDecompressSync, gunzipSync, inflateSync, zstdDecompressSync } from "node:zlib";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { readForeign } from "../../kernel/file/foreign-file.ts";
import type { LinkPolicy } from "../../kernel/file/status.ts";
import { type HttpReply, httpGet } from "./http.ts";
import { announced, type Get, type JobLimits, refuseStatus, requireWhole, tooLarge } from "./job.ts";
import { persistently } from "./retry.ts";
import { isFileUrl } from "./url.ts";

/** A small file in memory; null when the server has none. */
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
    const size = announced(reply);
    if (size !== null && size > limits.sideBytes) throw tooLarge();
    const parts: Buffer[] = [];
    let total = 0;
    for await (const chunk of body) {
      total += chunk.length;
      if (total > limits.sideBytes) throw tooLarge();
      parts.push(chunk);
    }
    requireWhole(total, size);
    return decoded(Buffer.concat(parts), reply, limits);
  });
}

type Decoder = (bytes: Buffer, options: { maxOutputLength: number }) => Buffer;
const DECODERS: Readonly<Record<string, Decoder>> = {
  gzip: gunzipSync,
  "x-gzip": gunzipSync,
  deflate: inflateSync,
  br: brotliDecompressSync,
  zstd: zstdDecompressSync,
};

/** The file itself, where a server packs it although nobody asked for that. Large files are taken as they are sent. */
function decoded(bytes: Buffer, { headers }: HttpReply, { sideBytes }: JobLimits): Buffer {
  const codings = (headers.get("content-encoding") ?? "")
    .toLowerCase()
    .split(",")
    .map((one) => one.trim());
  return codings.reverse().reduce((packed, coding) => {
    if (coding === "" || coding === "identity") return packed;
    const decode = Object.hasOwn(DECODERS, coding) ? DECODERS[coding] : undefined;
    if (decode === undefined) throw new ErrnoError("EPROTO", `Server packs a file as '${coding}', which is not known.`);
    try {
      return decode(packed, { maxOutputLength: sideBytes });
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ERR_BUFFER_TOO_LARGE") throw tooLarge();
      throw new ErrnoError("EPROTO", `Server says that a file is packed as '${coding}', which it is not.`, {
        cause: error,
      });
    }
  }, bytes);
}

/** What stands beside a file of this host. Nobody named it: a link would be taken for the file that it points to. */
async function readLocal(url: string, limits: JobLimits, links: LinkPolicy): Promise<Buffer | null> {
  try {
    return await readForeign(fileURLToPath(url), limits.sideBytes, links);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    if (errnoNameOf(error) === "EFBIG") throw tooLarge();
    throw error;
  }
}
