// Downloads of small files, in memory.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
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

function readLocal(url: string, limits: JobLimits): Buffer | null {
  try {
    const bytes = readFileSync(fileURLToPath(url));
    if (bytes.length > limits.sideBytes) throw tooLarge();
    return bytes;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
    throw error;
  }
}
