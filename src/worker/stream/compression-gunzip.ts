// Decodes gzip: one member or several (RFC 1952). The decoder stops at a zero after a member, because tapes are padded
// with them, and ignores everything behind it. Here, only zeros may follow.
import { createGunzip } from "node:zlib";
import { ErrnoError } from "../../base/error.ts";
import type { Chunks } from "./archive.ts";
import { giveBack } from "./chunk-memory.ts";
import { OUTPUT_CHUNK, transform } from "./compression-transform.ts";

/** The decoder's buffer: its thread works on it while this one is busy. */
const INPUT_AHEAD = { writableHighWaterMark: 4 << 20 };

/** Returns the content. Throws EBADMSG for damaged or truncated data, and for other data behind the last member. */
export async function* gunzip(source: Chunks): AsyncGenerator<Buffer> {
  const iterator = source[Symbol.asyncIterator]();
  let bytes = 0;
  /** The end of the last byte that is no zero. */
  let end = 0;
  // Not ended with the decoder, which stops before the end of the source.
  async function* counted(): AsyncGenerator<Buffer> {
    for (let next = await iterator.next(); next.done !== true; next = await iterator.next()) {
      const chunk = next.value;
      const last = lastOther(chunk);
      if (last >= 0) end = bytes + last + 1;
      bytes += chunk.length;
      yield chunk;
    }
  }
  try {
    const decoder = createGunzip({ chunkSize: OUTPUT_CHUNK, ...INPUT_AHEAD });
    yield* transform(counted(), decoder, "gzip");
    for await (const chunk of counted()) giveBack(chunk);
    if (end > decoder.bytesWritten) {
      throw new ErrnoError("EBADMSG", "Compressed data (gzip) is damaged or truncated: other data follows its end");
    }
  } finally {
    await iterator.return?.();
  }
}

/** Returns the position of the last byte that is no zero; -1 where there is none. */
function lastOther(chunk: Buffer): number {
  let at = chunk.length - 1;
  while (at >= 0 && chunk[at] === 0) at--;
  return at;
}
