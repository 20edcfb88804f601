// Checks the frames of a zstd stream (RFC 8878): the decoder does not report that a stream ended in the middle of a
// frame, or that other data follows.
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { formatBytes } from "../../base/text/format.ts";
import type { Chunks } from "./archive.ts";
import { ByteFeed, type Parse } from "./feed.ts";

const MAGIC = 0xfd2f_b528;
const SKIPPABLE = 0x184d_2a50;
const SKIPPABLE_MASK = 0xffff_fff0;
const RLE_BLOCK = 1;
const RESERVED_BLOCK = 3;

/** Passes chunks on unchanged. Throws EBADMSG when they are not complete frames, one after the other. */
export async function* checkedZstd(source: Chunks): AsyncGenerator<Buffer> {
  const feed = new ByteFeed();
  const walk = frames(feed, { takes: () => true, header: null });
  walk.next();
  for await (const chunk of source) {
    step(walk, chunk);
    yield chunk;
  }
  if (step(walk, null).done !== true) throw damagedFrame();
}

function step<Result>(walk: Parse<Result>, chunk: Buffer | null): IteratorResult<undefined, Result> {
  try {
    return walk.next(chunk);
  } catch (error) {
    throw ["EFBIG", "EOPNOTSUPP"].includes(errnoNameOf(error) ?? "") ? error : damagedFrame();
  }
}

function damagedFrame(): ErrnoError {
  return new ErrnoError("EBADMSG", "Compressed data (zstd) is damaged or truncated");
}

/** A walk through frames. */
interface Walk {
  /** The walk ends before a frame whose window is not taken; it has read its header. */
  readonly takes: (window: number) => boolean;
  /** The offset of the frame whose header is being read; null elsewhere. */
  header: number | null;
}

function* frames(feed: ByteFeed, walk: Walk): Parse<void> {
  while (yield* feed.hasMore()) {
    walk.header = feed.taken;
    const magic = (yield* feed.take(4)).readUInt32LE();
    if ((magic & SKIPPABLE_MASK) >>> 0 === SKIPPABLE) {
      const size = (yield* feed.take(4)).readUInt32LE();
      walk.header = null;
      yield* feed.skip(size);
    } else if (magic === MAGIC) {
      const { hasChecksum, window } = yield* frameHeader(feed);
      if (!walk.takes(window)) return;
      walk.header = null;
      yield* blocks(feed, hasChecksum);
    } else throw damagedFrame();
  }
}

/** The windows of all streams that are decoded in this process. */
let allWindows = 0;

/** The memory for windows of one stream, whose decoder keeps that of its largest one. */
export class WindowShare implements Disposable {
  #bytes = 0;

  /** Counts a window; returns false where it needs too much memory together with those of the other streams. */
  takes(window: number): boolean {
    if (window <= this.#bytes) return true;
    const others = allWindows - this.#bytes;
    if (window > MUCH_MEMORY || (others > 0 && others + window > MUCH_TOGETHER)) return false;
    allWindows = others + window;
    this.#bytes = window;
    return true;
  }

  [Symbol.dispose](): void {
    allWindows -= this.#bytes;
    this.#bytes = 0;
  }
}

/**
 * The frames at the beginning of a stream that need little memory. The decoder of a later one may need as much as that
 * of a first one, so that the rest of the stream is decoded elsewhere.
 */
export class FirstFrames {
  readonly #source: AsyncIterator<Buffer>;
  readonly #share: WindowShare;
  #rest: Buffer | null = null;

  /** The caller still owns both; `source` continues after `rest`. */
  constructor(source: AsyncIterator<Buffer>, share: WindowShare) {
    this.#source = source;
    this.#share = share;
  }

  /** The first bytes of the frame before which `chunks()` has ended; null where the stream has ended. */
  get rest(): Buffer | null {
    return this.#rest;
  }

  /** Returns the frames unchanged. Throws EBADMSG when they are not complete frames, one after the other. */
  async *chunks(): AsyncGenerator<Buffer> {
    const walk: Walk = { takes: (window) => this.#share.takes(window), header: null };
    const parser = frames(new ByteFeed(), walk);
    parser.next();
    let position = 0;
    /** The beginning of a header, whose end is in the next chunk. */
    let held = Buffer.alloc(0);
    for (let next = await this.#source.next(); next.done !== true; next = await this.#source.next()) {
      const chunk = next.value;
      const isOver = step(parser, chunk).done === true;
      const end = walk.header === null ? chunk.length : walk.header - position;
      // A copy: the chunk's memory is reused.
      const kept = end < 0 ? Buffer.concat([held, chunk]) : Buffer.from(chunk.subarray(end));
      if (end >= 0 && held.length > 0) yield held;
      if (end > 0) yield chunk.subarray(0, end);
      position += chunk.length;
      held = kept;
      if (isOver) {
        this.#rest = held;
        return;
      }
    }
    if (step(parser, null).done !== true) throw damagedFrame();
  }
}

/**
 * The maximum window of the decoder, as for zstd(1) without --long. For a larger one the decoder would report damaged
 * data.
 */
const WINDOW_LIMIT = 128 << 20;

/** The descriptor of a frame (RFC 8878, 3.1.1.1.1). */
interface FrameHeader {
  /** Its window is its whole content: it has a content size, and no window descriptor. */
  readonly isSingleSegment: boolean;
  readonly hasChecksum: boolean;
  readonly dictionaryBytes: number;
  readonly sizeBytes: number;
  /** The size of all fields after the descriptor. */
  readonly bytes: number;
}

function headerOf(descriptor: number): FrameHeader {
  const isSingleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number;
  const sizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
  const bytes = (isSingleSegment ? 0 : 1) + dictionaryBytes + sizeBytes;
  return { isSingleSegment, hasChecksum: (descriptor & 4) !== 0, dictionaryBytes, sizeBytes, bytes };
}

/** Returns the size of the window, from the fields after the descriptor. */
function windowOf({ isSingleSegment, dictionaryBytes, sizeBytes }: FrameHeader, fields: Buffer): number {
  if (isSingleSegment) {
    if (sizeBytes === 8) return Number(fields.readBigUInt64LE(dictionaryBytes));
    return fields.readUIntLE(dictionaryBytes, sizeBytes) + (sizeBytes === 2 ? 256 : 0);
  }
  const descriptor = fields.readUInt8();
  const base = 2 ** (10 + (descriptor >> 3));
  return base + (base / 8) * (descriptor & 7);
}

function requireWindow(window: number): void {
  if (window <= WINDOW_LIMIT) return;
  const [needed, limit] = [window, WINDOW_LIMIT].map((bytes) => formatBytes(BigInt(bytes)));
  throw new ErrnoError("EFBIG", `Compressed data (zstd) needs a window of ${needed}, and ${limit} is the limit.`);
}

/** Throws for a frame that was compressed with a dictionary: its number is before the size of the content. */
function requireNoDictionary({ isSingleSegment, dictionaryBytes }: FrameHeader, fields: Buffer): void {
  const at = isSingleSegment ? 0 : 1;
  if (dictionaryBytes === 0 || fields.readUIntLE(at, dictionaryBytes) === 0) return;
  throw new ErrnoError("EOPNOTSUPP", "Compressed data (zstd) needs a dictionary. Compress it without one.");
}

const DESCRIPTOR_AT = 4;
const MUCH_MEMORY = 32 << 20;
/** The limit of the windows of several streams: an image has five layers at a time, and `zstd -3` windows of 4 MiB. */
const MUCH_TOGETHER = 20 << 20;

/** Whether the decoder of a stream with this beginning needs more memory than a worker may use. */
export function needsMuchMemory(head: Buffer): boolean {
  if (head.length <= DESCRIPTOR_AT || head.readUInt32LE() !== MAGIC) return false;
  const header = headerOf(head.readUInt8(DESCRIPTOR_AT));
  const fields = head.subarray(DESCRIPTOR_AT + 1);
  return fields.length >= header.bytes && windowOf(header, fields) > MUCH_MEMORY;
}

/** Reads the header of a frame after its magic bytes. Throws for a frame that cannot be decoded here. */
function* frameHeader(feed: ByteFeed): Parse<Pick<FrameHeader, "hasChecksum"> & { readonly window: number }> {
  const header = headerOf((yield* feed.take(1)).readUInt8());
  const fields = yield* feed.take(header.bytes);
  const window = windowOf(header, fields);
  requireWindow(window);
  requireNoDictionary(header, fields);
  return { hasChecksum: header.hasChecksum, window };
}

function* blocks(feed: ByteFeed, hasChecksum: boolean): Parse<void> {
  for (let isLast = false; !isLast; ) {
    const block = (yield* feed.take(3)).readUIntLE(0, 3);
    isLast = (block & 1) !== 0;
    const type = (block >> 1) & 3;
    if (type === RESERVED_BLOCK) throw damagedFrame();
    yield* feed.skip(type === RLE_BLOCK ? 1 : block >> 3);
  }
  if (hasChecksum) yield* feed.skip(4);
}

/** Returns the length of the frame at the beginning of `bytes`. Throws EBADMSG where there is no complete frame. */
export function zstdFrameLength(bytes: Buffer): number {
  const feed = new ByteFeed();
  const walk = oneFrame(feed);
  walk.next();
  const { done, value } = step(walk, bytes);
  if (done !== true) throw damagedFrame();
  return value;
}

function* oneFrame(feed: ByteFeed): Parse<number> {
  if ((yield* feed.take(4)).readUInt32LE() !== MAGIC) throw damagedFrame();
  yield* blocks(feed, (yield* frameHeader(feed)).hasChecksum);
  return feed.taken;
}
