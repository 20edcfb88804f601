// The frames of a zstd stream (RFC 8878), looked at from outside: the decoder does not say that a stream ended in the
// middle of a frame, nor that something else follows.
import { ErrnoError, errnoNameOf } from "../base/error.ts";
import { formatBytes } from "../base/format.ts";
import type { Chunks } from "./archive.ts";
import { type Parse, TarFeed } from "./tar-feed.ts";

const MAGIC = 0xfd2f_b528;
const SKIPPABLE = 0x184d_2a50;
const SKIPPABLE_MASK = 0xffff_fff0;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

/** Passes chunks on unchanged. EBADMSG when they are not whole frames, one behind the other. */
export async function* checkedZstd(source: Chunks): AsyncGenerator<Buffer> {
  const feed = new TarFeed();
  const walk = frames(feed);
  walk.next();
  for await (const chunk of source) {
    step(walk, chunk);
    yield chunk;
  }
  if (step(walk, null).done !== true) throw damagedFrame();
}

function step(walk: Parse<void>, chunk: Buffer | null): IteratorResult<undefined, void> {
  try {
    return walk.next(chunk);
  } catch (error) {
    throw errnoNameOf(error) === "EFBIG" ? error : damagedFrame();
  }
}

function damagedFrame(): ErrnoError {
  return new ErrnoError("EBADMSG", "Compressed data (zstd) is damaged or truncated");
}

function* frames(feed: TarFeed): Parse<void> {
  while (yield* feed.hasMore()) {
    const magic = (yield* feed.take(4)).readUInt32LE();
    if ((magic & SKIPPABLE_MASK) >>> 0 === SKIPPABLE) yield* feed.skip((yield* feed.take(4)).readUInt32LE());
    else if (magic === MAGIC) yield* frame(feed);
    else throw damagedFrame();
  }
}

/** So far back the decoder looks, as zstd(1) does without --long; it would only call such a stream damaged. */
const WINDOW_LIMIT = 128 << 20;

function windowOf(descriptor: number): number {
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function requireWindow(descriptor: number): void {
  const window = windowOf(descriptor);
  if (window <= WINDOW_LIMIT) return;
  const [needed, limit] = [window, WINDOW_LIMIT].map((bytes) => formatBytes(BigInt(bytes)));
  throw new ErrnoError("EFBIG", `Compressed data (zstd) needs a window of ${needed}, and ${limit} is the most here.`);
}

const SINGLE_SEGMENT = 0x20;
const MUCH_MEMORY = 32 << 20;

/** Whether the decoder of a stream that begins so needs more memory than all else that a worker does. */
export function needsMuchMemory(head: Buffer): boolean {
  const [DESCRIPTOR_AT, WINDOW_AT] = [4, 5];
  if (head.length <= WINDOW_AT || head.readUInt32LE() !== MAGIC) return false;
  const isSingleSegment = (head.readUInt8(DESCRIPTOR_AT) & SINGLE_SEGMENT) !== 0;
  return !isSingleSegment && windowOf(head.readUInt8(WINDOW_AT)) > MUCH_MEMORY;
}

function* frame(feed: TarFeed): Parse<void> {
  const descriptor = (yield* feed.take(1)).readUInt8();
  const isSingleSegment = (descriptor & SINGLE_SEGMENT) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number;
  const contentBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
  if (!isSingleSegment) requireWindow((yield* feed.take(1)).readUInt8());
  yield* feed.skip(dictionaryBytes + contentBytes);
  for (let isLast = false; !isLast; ) {
    const header = (yield* feed.take(3)).readUIntLE(0, 3);
    isLast = (header & 1) !== 0;
    const type = (header >> 1) & 3;
    if (type === RESERVED_BLOCK) throw damagedFrame();
    yield* feed.skip(type === RLE_BLOCK ? 1 : header >> 3);
  }
  const hasChecksum = (descriptor & 4) !== 0;
  if (hasChecksum) yield* feed.skip(4);
}
