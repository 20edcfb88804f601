import { expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { readChunks } from "../../../../src/worker/stream/archive.ts";
import {
  CHUNK,
  endLoan,
  freeAtItsEnd,
  giveBack,
  lendChunk,
  lendChunkInParts,
} from "../../../../src/worker/stream/chunk-memory.ts";
import { decompress } from "../../../../src/worker/stream/compression.ts";

test("a returned chunk is lent again only once, also when a part of it was returned as well", () => {
  const first = lendChunk();
  giveBack(first.subarray(10, 20));
  giveBack(first);
  expect(lendChunk().buffer).toBe(first.buffer);
  expect(lendChunk().buffer).not.toBe(first.buffer);
});

test("memory that does not belong to the pool is ignored", () => {
  const foreign = Buffer.allocUnsafeSlow(CHUNK);
  giveBack(foreign);
  expect(lendChunk().buffer).not.toBe(foreign.buffer);
});

test("a chunk that is lent in parts is free when the last part is returned", () => {
  const chunk = lendChunkInParts();
  const [head, tail] = [chunk.subarray(0, 100), chunk.subarray(100, 300)];
  giveBack(head);
  endLoan(tail);
  giveBack(head);
  expect(lendChunk().buffer).not.toBe(chunk.buffer);
  giveBack(tail);
  expect(lendChunk().buffer).toBe(chunk.buffer);
});

test("memory is freed when the part at its end is returned", () => {
  const memory = Buffer.allocUnsafeSlow(1000);
  const [head, tail] = [memory.subarray(0, 400), memory.subarray(400)];
  freeAtItsEnd(head);
  giveBack(head);
  expect(memory.buffer.byteLength).toBe(1000);
  freeAtItsEnd(tail);
  giveBack(tail);
  expect(memory.buffer.byteLength).toBe(0);
});

/** Random bytes, which cannot be compressed, between zeros, which can: the output has pieces of all sizes. */
function uneven(): Buffer {
  const parts = Array.from({ length: 40 }, (_, index) => {
    const size = ((index * 7919) % 50) * 9973 + 1;
    return index % 2 === 0 ? randomBytes(size) : Buffer.alloc(size, index);
  });
  return Buffer.concat(parts);
}

test.each([
  ["gzip", (content: Buffer) => Buffer.concat([gzipSync(content), gzipSync(content)])],
  ["zstd", (content: Buffer) => Buffer.concat([zstdCompressSync(content), zstdCompressSync(content)])],
])("%s: decoded bytes do not change until they are returned, and memory in use is not freed", async (_, pack) => {
  const content = uneven();
  const packed = pack(content);
  async function* source() {
    for (let at = 0; at < packed.length; at += 65_521) yield packed.subarray(at, at + 65_521);
  }
  const expected = Buffer.concat([content, content]);
  const unused: Buffer[] = [];
  let at = 0;
  for await (const chunk of decompress(source())) {
    unused.push(chunk);
    if (unused.length < 3) continue;
    const oldest = unused.shift() as Buffer;
    expect(oldest.equals(expected.subarray(at, at + oldest.length))).toBe(true);
    at += oldest.length;
    giveBack(oldest);
  }
  expect(Buffer.concat(unused).equals(expected.subarray(at))).toBe(true);
});

/** A file of a little more than three chunks, each with different bytes. */
async function withFile<T>(use: (path: string, content: Buffer) => Promise<T>): Promise<T> {
  const directory = mkdtempSync(join(tmpdir(), "chunks-"));
  const content = Buffer.concat([1, 2, 3, 4].map((byte) => Buffer.alloc(byte === 4 ? 7 : CHUNK, byte)));
  try {
    writeFileSync(join(directory, "file"), content);
    return await use(join(directory, "file"), content);
  } finally {
    rmSync(directory, { recursive: true });
  }
}

test("a file that is read ahead is complete and in order, whether chunks are kept or returned", async () => {
  await withFile(async (path, content) => {
    using kept = openPath(path, "read");
    const parts: Buffer[] = [];
    for await (const chunk of readChunks(kept)) parts.push(chunk);
    expect(Buffer.concat(parts).equals(content)).toBe(true);
    using given = openPath(path, "read");
    let at = 0;
    for await (const chunk of readChunks(given)) {
      expect(chunk.equals(content.subarray(at, at + chunk.length))).toBe(true);
      at += chunk.length;
      giveBack(chunk);
    }
    expect(at).toBe(content.length);
  });
});

test("nothing is read after the reader was stopped", async () => {
  await withFile(async (path) => {
    using file = openPath(path, "read");
    const chunks = readChunks(file);
    await chunks.next();
    await chunks.return(undefined);
    const rest = Buffer.alloc(CHUNK);
    const count = readSync(file.number, rest, 0, CHUNK, null);
    // One chunk was used and one read ahead.
    expect([count, rest[0]]).toEqual([CHUNK, 3]);
  });
});
