// Compressed streams: recognized by their first bytes, never by a name; decoded and encoded in chunks. gzip and zstd
// are Bun's own and run on its threads; xz and bzip2 are programs of the host, which use every processor. zstd with a
// large window is a program of the host, too, where there is one: such a window needs more memory than a worker may
// use. A stream that ends too early or has other data after it is an error in every format.
import { createZstdCompress, createZstdDecompress } from "node:zlib";
import { ErrnoError } from "../../base/error.ts";
import { COMPRESSION_MAGIC, type Compression, parseCompression } from "../../base/vocabulary/compression.ts";
import type { Chunks } from "./archive.ts";
import { checkedBzip2 } from "./compression-bzip2.ts";
import { gunzip } from "./compression-gunzip.ts";
import { gzipParallel } from "./compression-gzip.ts";
import { decodeByProgram, encodeByProgram, hasProgram } from "./compression-program.ts";
import { OUTPUT_CHUNK, transform } from "./compression-transform.ts";
import { checkedZstd, FirstFrames, needsMuchMemory, WindowShare } from "./compression-zstd.ts";

/** How many bytes identify a stream; shorter streams count as uncompressed. */
export const MAGIC_BYTES = 6;

/** Frames that decoders of zstd and lz4 skip; some programs begin a stream with one (RFC 8878, 3.1.2). */
const [SKIPPABLE, SKIPPABLE_MASK] = [0x184d_2a50, 0xffff_fff0];
const SKIPPABLE_HEADER = 8;
/** How many bytes of such frames a stream may begin with. */
const SKIPPED_LIMIT = 1 << 20;

function isSkippable(head: Buffer, at: number): boolean {
  return head.length >= at + 4 && (head.readUInt32LE(at) & SKIPPABLE_MASK) >>> 0 === SKIPPABLE;
}

/** Returns the offset of the first frame that is not skipped. */
function skipped(head: Buffer): number {
  let at = 0;
  while (head.length >= at + SKIPPABLE_HEADER && isSkippable(head, at)) {
    at += SKIPPABLE_HEADER + head.readUInt32LE(at + 4);
  }
  return at;
}

/** The beginnings of the marks of a block and of the end. */
const BZIP2_MARKS = ["1A", "\x17r"];

/** "BZh" alone may begin the first name of an archive: the level and a mark follow, that of a block or of the end. */
function beginsBzip2(head: Buffer): boolean {
  const text = head.toString("latin1", 0, MAGIC_BYTES);
  return /^BZh[1-9]/.test(text) && BZIP2_MARKS.includes(text.slice(4));
}

/** Returns the format of a stream with this beginning. */
export function detectCompression(head: Buffer): Compression {
  if (head.length < MAGIC_BYTES) return "uncompressed";
  const rest = head.subarray(skipped(head));
  const found = COMPRESSION_MAGIC.find(([, magic]) => rest.subarray(0, magic.length).equals(magic))?.[0];
  if (found === "bzip2" && !beginsBzip2(rest)) return "uncompressed";
  // Where `head` ends inside such frames, the format is zstd, whose programs begin streams with them.
  return found ?? (isSkippable(head, 0) ? "zstd" : "uncompressed");
}

const ZSTD_WINDOW_LOG_MAX = 27;
/** ZSTD_d_windowLogMax, ZSTD_c_compressionLevel (zstd.h). */
const [ZSTD_D_WINDOW_LOG_MAX, ZSTD_C_LEVEL] = [100, 100];

/** Decodes a stream that begins with `head`; `source` delivers these bytes again. */
type Decoder = (source: Chunks, head: Buffer) => Chunks;

const DECODERS: Readonly<Record<Compression, Decoder>> = {
  uncompressed: (source) => source,
  gzip: gunzip,
  zstd: (source, head) => {
    if (!hasProgram("zstd")) return unzstd(checkedZstd(source));
    if (needsMuchMemory(head.subarray(skipped(head)))) return decodeByProgram(checkedZstd(source), "zstd");
    return unzstdInParts(source);
  },
  xz: (source) => decodeByProgram(source, "xz"),
  bzip2: (source) => decodeByProgram(checkedBzip2(source), "bzip2"),
  lz4: (source) => decodeByProgram(source, "lz4"),
};

function unzstd(source: Chunks): Chunks {
  const params = { [ZSTD_D_WINDOW_LOG_MAX]: ZSTD_WINDOW_LOG_MAX };
  return transform(source, createZstdDecompress({ chunkSize: OUTPUT_CHUNK, params }), "zstd");
}

/** Decodes frames here, and from the first one on that needs much memory by the host's program. */
async function* unzstdInParts(source: Chunks): AsyncGenerator<Buffer> {
  using share = new WindowShare();
  const iterator = source[Symbol.asyncIterator]();
  try {
    const first = new FirstFrames(iterator, share);
    const chunks = first.chunks();
    const begin = await chunks.next();
    if (begin.done !== true) yield* unzstd(resumed(begin.value, chunks));
    share[Symbol.dispose]();
    if (first.rest !== null) yield* decodeByProgram(checkedZstd(resumed(first.rest, iterator)), "zstd");
  } finally {
    await iterator.return?.();
  }
}

/** Returns the content of a stream of any compression. */
export async function* decompress(source: Chunks): AsyncGenerator<Buffer> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    const first = await headOf(iterator);
    yield* DECODERS[detectCompression(first)](resumed(first, iterator), first);
  } finally {
    await iterator.return?.();
  }
}

/** Reads until the format can be recognized, or to the end. */
async function headOf(iterator: AsyncIterator<Buffer>): Promise<Buffer> {
  let head: Buffer = Buffer.alloc(0);
  while (head.length < wantedOf(head)) {
    const next = await iterator.next();
    if (next.done === true) return head;
    head = head.length === 0 ? next.value : Buffer.concat([head, next.value]);
  }
  return head;
}

function wantedOf(head: Buffer): number {
  const at = skipped(head);
  return at > SKIPPED_LIMIT ? 0 : at + (isSkippable(head, at) ? SKIPPABLE_HEADER : MAGIC_BYTES);
}

async function* resumed(first: Buffer, iterator: AsyncIterator<Buffer>): AsyncGenerator<Buffer> {
  if (first.length > 0) yield first;
  for (;;) {
    const next = await iterator.next();
    if (next.done === true) return;
    yield next.value;
  }
}

const ZSTD_LEVEL = 3;

const ENCODERS: Readonly<Record<Compression, (source: Chunks) => Chunks>> = {
  uncompressed: (source) => source,
  gzip: gzipParallel,
  zstd: (source) =>
    transform(source, createZstdCompress({ chunkSize: OUTPUT_CHUNK, params: { [ZSTD_C_LEVEL]: ZSTD_LEVEL } }), "zstd"),
  xz: (source) => encodeByProgram(source, "xz"),
  bzip2: (source) => encodeByProgram(source, "bzip2"),
  lz4: (source) => encodeByProgram(source, "lz4"),
};

/** Returns a stream in the given compression. */
export function compress(source: Chunks, compression: Compression): Chunks {
  return ENCODERS[compression](source);
}

/** Throws unless this host can write the given compression. */
export function requireCompression(name: string): Compression {
  const compression = parseCompression(name);
  if (compression === undefined) throw new ErrnoError("EINVAL", `Unknown format: ${name}`);
  return compression;
}
