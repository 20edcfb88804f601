import { afterAll, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath, statFd } from "../../../../src/kernel/file/fd.ts";
import type { Get, HttpReply } from "../../../../src/worker/download/http.ts";
import { fetchMain } from "../../../../src/worker/download/job.ts";
import { JOB_LIMITS } from "../../../../src/worker/download/limits.ts";
import { ParallelParts } from "../../../../src/worker/download/parallel.ts";
import { Spool } from "../../../../src/worker/download/spool.ts";
import { GUARD_MS, waitFor } from "../../../lib/wait-for.ts";
import { RawServer } from "../../../service/pull-support.ts";

const scratch = mkdtempSync(join(tmpdir(), "parallel-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const BODY = Buffer.concat([
  randomBytes(1 << 20),
  Buffer.alloc(512 << 10),
  randomBytes(1 << 20),
  Buffer.alloc(300_000),
]);
const limits = {
  ...JOB_LIMITS,
  firstPauseMs: 10,
  parallel: { fromBytes: 1 << 20, trialBytes: 128 << 10, fastBytesPerSecond: 2 ** 50, connections: 4 },
};

/** A server that can send parts; `fault` returns where to end a part early, and `after` what happens then. */
function partServer(fault: (start: number) => number | null = () => null, after: "close" | "wait" = "close") {
  const starts: number[] = [];
  const sent: number[] = [];
  const server = new RawServer(({ headers }) => {
    const range = /^bytes=(\d+)-(\d*)$/.exec(headers.get("range") ?? "");
    const start = Number(range?.[1] ?? 0);
    const end = range?.[2] ? Number(range[2]) + 1 : BODY.length;
    starts.push(start);
    const head = [
      range === null ? "200 OK" : "206 Partial Content",
      'ETag: "s"',
      "Accept-Ranges: bytes",
      `Content-Length: ${end - start}`,
    ];
    if (range !== null) head.push(`Content-Range: bytes ${start}-${end - 1}/${BODY.length}`);
    const body = BODY.subarray(start, Math.min(end, fault(start) ?? end));
    sent.push(body.length);
    return { head, body, after };
  });
  return { url: server.url("big"), starts, sent };
}

async function download(url: string): Promise<Buffer> {
  using root = openPath(scratch, "directory");
  using spool = Spool.open(root, "raw", url);
  const fetched = fetchMain(url, spool, [], limits);
  fetched.then(
    () => spool.complete(),
    (error: unknown) => spool.fail(error),
  );
  const parts: Buffer[] = [];
  for await (const chunk of spool.chunks()) parts.push(chunk);
  await fetched;
  return Buffer.concat(parts);
}

test("a large file from a slow server is downloaded on several connections, and its content is correct", async () => {
  const { url, starts } = partServer();
  expect((await download(url)).equals(BODY)).toBe(true);
  expect(starts.length).toBe(4);
});

test("the rest of a resumed large file is downloaded on several connections, too", async () => {
  let isBroken = true;
  const { url, starts } = partServer(() => (isBroken ? 100_000 : null), "wait");
  {
    using root = openPath(scratch, "directory");
    using spool = Spool.open(root, "raw", url);
    await expect(fetchMain(url, spool, [], { ...limits, tries: 1, slowMs: 100 })).rejects.toThrow();
    expect(spool.end).toBe(100_000);
    spool.keep();
  }
  isBroken = false;
  expect((await download(url)).equals(BODY)).toBe(true);
  expect(starts.length).toBe(1 + 4);
});

test(
  "when one of the further connections breaks, the content is still correct",
  async () => {
    let broken = 0;
    const { url, starts } = partServer((start) => (start > 0 && broken++ < 2 ? start + 100_000 : null));
    expect((await download(url)).equals(BODY)).toBe(true);
    expect(starts.length).toBeGreaterThan(4);
  },
  GUARD_MS,
);

test("a resumed download requests only the gaps between the parts that it already has", async () => {
  let isBroken = true;
  const { url, starts, sent } = partServer((start) => (isBroken ? Math.max(start, 400_000) + 300_000 : null), "wait");
  {
    using root = openPath(scratch, "directory");
    using spool = Spool.open(root, "raw", url);
    await expect(fetchMain(url, spool, [], { ...limits, tries: 1, slowMs: 100 })).rejects.toThrow();
    const end = () => Math.max(...starts) + 300_000;
    await waitFor(() => expect([starts.length, statFd(spool.file).size]).toEqual([4, end()]), "the last part");
    spool.keep();
  }
  isBroken = false;
  const connections = starts.length;
  expect((await download(url)).equals(BODY)).toBe(true);
  expect(starts.length - connections).toBe(4);
  const again = sent.reduce((sum, bytes) => sum + bytes, 0) - BODY.length;
  expect(again).toBe(0);
});

test("when the first part has reached a later part, the download is resumed at the end of the later part", () => {
  using root = openPath(scratch, "directory");
  const url = "http://x/joined";
  {
    using spool = Spool.open(root, "raw", url);
    spool.begin({ url, etag: '"s"', lastModified: null, size: BODY.length });
    for (const [from, to] of [
      [100, 200],
      [300, 400],
    ] as const)
      spool.putAhead(BODY.subarray(from, to), from, spool.generation);
    spool.append(BODY.subarray(0, 100));
    spool.keep();
  }
  using spool = Spool.open(root, "raw", url);
  expect([spool.end, spool.parts.list]).toEqual([200, [{ start: 300, end: 400 }]]);
  expect(spool.matches(BODY.subarray(0, 200), 0)).toBe(true);
});

test("a further connection ends when the bytes of its version are dropped", async () => {
  using root = openPath(scratch, "directory");
  using spool = Spool.open(root, "raw", "http://x/dropped");
  const size = 64 << 20;
  spool.begin({ url: "http://x/dropped", etag: '"s"', lastModified: null, size });
  const ended = Promise.withResolvers<number>();
  async function* body() {
    let pieces = 0;
    try {
      for (; pieces < 10; pieces++) {
        if (pieces === 2) spool.restart();
        yield Buffer.alloc(1000, 1);
      }
    } finally {
      ended.resolve(pieces);
    }
  }
  const get: Get = async (_url, { headers }) => {
    const wanted = headers?.["Range"]?.replace("bytes=", "bytes ") ?? "";
    return {
      status: 206,
      headers: new Headers({ etag: '"s"', "content-range": `${wanted}/${size}` }),
      url: new URL("http://x/dropped"),
      body: Object.assign(body(), { [Symbol.dispose]: () => {} }) as unknown as HttpReply["body"],
    };
  };
  const two = { ...limits, parallel: { ...limits.parallel, connections: 2 } };
  const parts = new ParallelParts({ url: "http://x/dropped", etag: '"s"', size }, spool, two, get);
  parts.consider(1 << 20, 1 << 20);
  expect(await ended.promise).toBe(2);
  await parts.finish();
});
