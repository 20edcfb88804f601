// Files beside an image, which may be large: they are written piece by piece as they arrive.
import { expect, test } from "bun:test";
import { gzipSync } from "node:zlib";
import type { HttpReply } from "../../../../src/worker/download/http.ts";
import { JOB_LIMITS } from "../../../../src/worker/download/limits.ts";
import { fetchSide, fetchSideInto } from "../../../../src/worker/download/small-file.ts";

const LIMITS = { ...JOB_LIMITS, sideBytes: 4 << 20, tries: 3, firstPauseMs: 0 };
const URL = "http://server.invalid/image.verity";

/** A server's answer, whose body comes from a generator. */
function reply(headers: Record<string, string>, body: AsyncIterable<Buffer>, status = 200): HttpReply {
  const disposable = Object.assign(body, { [Symbol.dispose]: () => {} });
  return { status, headers: new Headers(headers), body: disposable } as unknown as HttpReply;
}

/** A sink that collects its bytes. */
function memory() {
  const chunks: Buffer[] = [];
  return {
    chunks,
    begin: () => void chunks.splice(0),
    write: (chunk: Buffer, position: number) => {
      expect(position).toBe(chunks.reduce((sum, { length }) => sum + length, 0));
      chunks.push(Buffer.from(chunk));
    },
  };
}

test("a server that sends a small file byte by byte is given up", async () => {
  async function* body() {
    for (;;) {
      yield Buffer.from("x");
      await Promise.resolve();
    }
  }
  const limits = { ...LIMITS, sideMs: 20 };
  const get = async () => ({ ...reply({}, body()), url: new globalThis.URL(URL) });
  const says = "'server.invalid' sends a small file for more than 20ms, giving up";
  await expect(fetchSide(URL, limits, get)).rejects.toThrow(says);
  const sink = { begin: () => {}, write: () => {} };
  await expect(fetchSideInto(URL, sink, limits, get)).rejects.toThrow(says);
});

test("each piece is written before the next one is read", async () => {
  const sink = memory();
  async function* body() {
    for (let i = 0; i < 64; i++) {
      expect(sink.chunks.length).toBe(i);
      yield Buffer.alloc(1 << 10, i);
    }
  }
  expect(await fetchSideInto(URL, sink, LIMITS, async () => reply({}, body()))).toBe(true);
  expect(Buffer.concat(sink.chunks).length).toBe(64 << 10);
});

test("a file beyond the limit is refused, whether its length was announced or not", async () => {
  async function* endless() {
    for (;;) yield Buffer.alloc(1 << 20);
  }
  const sink = memory();
  const announced = fetchSideInto(URL, sink, LIMITS, async () => reply({ "content-length": "4194305" }, endless()));
  await expect(announced).rejects.toThrow("File overly large, refusing.");
  expect(sink.chunks).toEqual([]);
  const silent = fetchSideInto(URL, sink, LIMITS, async () => reply({}, endless()));
  await expect(silent).rejects.toThrow("File overly large, refusing.");
  expect(sink.chunks.length).toBe(4);
});

test("a small file that the server compressed without being asked is decompressed", async () => {
  const packed = (size: number) =>
    (async function* () {
      yield gzipSync(Buffer.alloc(size, 7));
    })();
  const get = (size: number) => async () => reply({ "content-encoding": "gzip" }, packed(size));
  const sink = memory();
  expect(await fetchSideInto(URL, sink, LIMITS, get(1000))).toBe(true);
  expect(Buffer.concat(sink.chunks)).toEqual(Buffer.alloc(1000, 7));
  await expect(fetchSideInto(URL, memory(), LIMITS, get(2 << 20))).rejects.toThrow("File overly large, refusing.");
});

test("a file that the server does not have is reported as missing", async () => {
  async function* nothing() {}
  const sink = memory();
  expect(await fetchSideInto(URL, sink, LIMITS, async () => reply({}, nothing(), 404))).toBe(false);
  expect(sink.chunks).toEqual([]);
});
