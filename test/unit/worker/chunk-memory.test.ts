import { expect, test } from "bun:test";
import { mkdtempSync, readSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../../src/kernel/fd.ts";
import { readChunks } from "../../../src/worker/archive.ts";
import { CHUNK, giveBack, lendChunk } from "../../../src/worker/chunk-memory.ts";

test("a chunk that was given back is lent again, once, also when only a part of it comes back", () => {
  const first = lendChunk();
  giveBack(first.subarray(10, 20));
  giveBack(first);
  expect(lendChunk().buffer).toBe(first.buffer);
  expect(lendChunk().buffer).not.toBe(first.buffer);
});

test("memory of somebody else is not taken", () => {
  const foreign = Buffer.allocUnsafeSlow(CHUNK);
  giveBack(foreign);
  expect(lendChunk().buffer).not.toBe(foreign.buffer);
});

/** A file of three chunks and a bit, each with bytes of its own. */
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

test("a file that is read ahead comes whole and in order, to who keeps its chunks and to who gives them back", async () => {
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

test("nothing is read any more once the reader has been told to stop", async () => {
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
