// gzip on several threads: blocks are deflated in parallel, each with the end of the one before it as dictionary, and
// joined into one member (RFC 1952). One member, because some readers do not read a second one.
import { constants, crc32, deflateRaw } from "node:zlib";
import type { Chunks } from "./archive.ts";

const BLOCK = 512 << 10;
const WINDOW = 32 << 10;
const PARALLEL = Math.max(2, navigator.hardwareConcurrency);
const LEVEL = 6;

/** No name and no time: the same content is compressed to the same file. 255: made on no particular system. */
const HEADER = Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);

function deflate(block: Buffer, dictionary: Buffer | undefined, isLast: boolean): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const finishFlush = isLast ? constants.Z_FINISH : constants.Z_SYNC_FLUSH;
  const options = { level: LEVEL, finishFlush, chunkSize: BLOCK, ...(dictionary === undefined ? {} : { dictionary }) };
  deflateRaw(block, options, (error, result) => (error === null ? resolve(result as Buffer) : reject(error)));
  return promise;
}

/** Cuts chunks of any size into blocks of one size. */
async function* blocksOf(source: Chunks): AsyncGenerator<Buffer> {
  let parts: Buffer[] = [];
  let size = 0;
  for await (let chunk of source) {
    while (size + chunk.length >= BLOCK) {
      parts.push(chunk.subarray(0, BLOCK - size));
      chunk = chunk.subarray(BLOCK - size);
      yield Buffer.concat(parts, BLOCK);
      parts = [];
      size = 0;
    }
    if (chunk.length > 0) parts.push(Buffer.from(chunk));
    size += chunk.length;
  }
  yield Buffer.concat(parts, size);
}

/** Returns `source` as one gzip member. */
export async function* gzipParallel(source: Chunks): AsyncGenerator<Buffer> {
  yield HEADER;
  const running: Promise<Buffer>[] = [];
  let sum = 0;
  let total = 0;
  let before: Buffer | undefined;
  for await (const block of blocksOf(source)) {
    // Only the last block is shorter than the others, and it may be empty.
    running.push(deflate(block, before, block.length < BLOCK));
    sum = crc32(block, sum);
    total += block.length;
    before = block.subarray(Math.max(0, block.length - WINDOW));
    if (running.length >= PARALLEL) yield await (running.shift() as Promise<Buffer>);
  }
  for (const block of running) yield await block;
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32LE(sum >>> 0, 0);
  trailer.writeUInt32LE(total % 2 ** 32, 4);
  yield trailer;
}
