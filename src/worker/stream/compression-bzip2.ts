// The end of a bzip2 stream: the 48 bits of the end mark and 32 of a checksum, then zeros up to a whole byte. lbzip2
// silently drops the bytes after it, so the end is checked here.
import { ErrnoError } from "../../base/error.ts";
import type { Chunks } from "./archive.ts";

const END_MARK = 0x177245385090n;
const [MARK_BITS, CHECKSUM_BITS] = [48n, 32n];
const TAIL_BYTES = 11;

/** Returns the same chunks. Throws EBADMSG after the last one where they do not end as a bzip2 stream. */
export async function* checkedBzip2(source: Chunks): AsyncGenerator<Buffer> {
  let tail: Buffer = Buffer.alloc(0);
  for await (const chunk of source) {
    // A copy: the chunk's memory is reused.
    tail = Buffer.concat([tail, chunk.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES);
    yield chunk;
  }
  if (!endsStream(tail)) {
    throw new ErrnoError(
      "EBADMSG",
      "Compressed data (bzip2) is damaged or truncated: it does not end with an end mark",
    );
  }
}

function endsStream(tail: Buffer): boolean {
  const bits = BigInt(`0x0${tail.toString("hex")}`);
  for (let padding = 0n; padding < 8n; padding++) {
    if ((bits >> padding) << padding !== bits) return false;
    if (BigInt.asUintN(Number(MARK_BITS), bits >> (padding + CHECKSUM_BITS)) === END_MARK) return true;
  }
  return false;
}
