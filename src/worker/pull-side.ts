// Downloads of small files, in memory.
import { fileURLToPath } from "node:url";
import { errnoNameOf } from "../base/error.ts";
import { readForeign } from "../kernel/foreign-file.ts";
import { httpGet } from "./pull-http.ts";
import { announced, type Get, type JobLimits, refuseStatus, requireWhole, tooLarge } from "./pull-job.ts";
import { persistently } from "./pull-retry.ts";
import { isFileUrl } from "./pull-url.ts";

/** A small file in memory; null when the server has none. */
export async function fetchSide(url: string, limits: JobLimits, get: Get = httpGet): Promise<Buffer | null> {
  if (isFileUrl(url)) return readLocal(url, limits);
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
    return Buffer.concat(parts);
  });
}

/** What stands beside a file of this host. Nobody named it: a link would be taken for the file that it points to. */
async function readLocal(url: string, limits: JobLimits): Promise<Buffer | null> {
  try {
    return await readForeign(fileURLToPath(url), limits.sideBytes, "no-follow");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    if (errnoNameOf(error) === "EFBIG") throw tooLarge();
    throw error;
  }
}
