// A file that changes before its download is resumed: the result is one of the two versions, never parts of both.
import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { fetchMain } from "../../../../src/worker/download/job.ts";
import { JOB_LIMITS, type JobLimits } from "../../../../src/worker/download/limits.ts";
import { ChangedError } from "../../../../src/worker/download/retry.ts";
import { Spool } from "../../../../src/worker/download/spool.ts";
import { type RawReply, type RawRequest, RawServer } from "../../../service/pull-support.ts";

const scratch = mkdtempSync(join(tmpdir(), "resume-test-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const SIZE = 400_000;
const HALF = SIZE / 2;
/** Versions of a file with the same beginning. */
const version = (fill: number) => Buffer.concat([Buffer.alloc(HALF, 1), Buffer.alloc(HALF, fill)]);
const [OLD, NEW] = [version(2), version(3)];
const limits: JobLimits = { ...JOB_LIMITS, firstPauseMs: 1, slowMs: 100 };

async function fetchAll(root: ReturnType<typeof openPath>, url: string, jobLimits: JobLimits): Promise<Buffer> {
  using spool = Spool.open(root, "raw", url);
  const fetched = fetchMain(url, spool, [], jobLimits);
  fetched.then(
    () => spool.complete(),
    (error: unknown) => spool.fail(error),
  );
  const parts: Buffer[] = [];
  for await (const chunk of spool.chunks()) parts.push(chunk);
  await fetched;
  return Buffer.concat(parts);
}

/** A download as a pull does it: restarted when the file has changed. */
async function download(url: string, jobLimits = limits): Promise<Buffer> {
  using root = openPath(scratch, "directory");
  for (let tries = 0; ; tries++) {
    try {
      return await fetchAll(root, url, jobLimits);
    } catch (error) {
      if (!(error instanceof ChangedError) || tries === 3) throw error;
    }
  }
}

const LENGTH = `Content-Length: ${SIZE}`;
const whole = (body: Buffer, headers: string[], upTo = SIZE): RawReply => ({
  head: ["200 OK", LENGTH, ...headers],
  body: body.subarray(0, upTo),
  // A connection that is closed early may lose bytes that were sent before.
  after: upTo < SIZE ? "wait" : "close",
});
const part = (body: Buffer, { from }: RawRequest, headers: string[], range?: string): RawReply => ({
  head: [
    "206 Partial Content",
    `Content-Length: ${SIZE - from}`,
    ...(range === "" ? [] : [`Content-Range: ${range ?? `bytes ${from}-${SIZE - 1}/${SIZE}`}`]),
    ...headers,
  ],
  body: body.subarray(from),
});

const DATE = "Last-Modified: Sat, 03 Feb 2001 04:05:06 GMT";
const STRONG = 'ETag: "s"';

for (const [what, first, second, range] of [
  ["no validator", [], []],
  ["a weak ETag", ['ETag: W/"w"'], ['ETag: W/"w"']],
  ["a weak ETag in lower case", ['ETag: w/"w"'], ['ETag: w/"w"']],
  ["a date", [DATE], [DATE]],
  ["a strong ETag that the part does not repeat", [STRONG], []],
  ["a strong ETag, and a weak one of the part", [STRONG], ['ETag: W/"s"']],
  ["a strong ETag and a date, of which the part repeats only the date", [STRONG, DATE], [DATE]],
  ["a strong ETag, and another one of the part", [STRONG], ['ETag: "t"']],
  ["a strong ETag, and a part without its position", [STRONG], [STRONG], ""],
  ["a strong ETag, and a part from another position", [STRONG], [STRONG], `bytes 0-${SIZE - 1}/${SIZE}`],
  ["a strong ETag, and a part of a file of another size", [STRONG], [STRONG], `bytes ${HALF}-${SIZE - 1}/${SIZE + 1}`],
  ["a strong ETag, and a part of a file of unknown size", [STRONG], [STRONG], `bytes ${HALF}-${SIZE - 1}/*`],
  ["a strong ETag, and a part in another unit than bytes", [STRONG], [STRONG], `pages 2-3/4`],
] as const) {
  test(`a download that was interrupted after ${what} has no mixed content`, async () => {
    const server = new RawServer((request) => {
      if (request.count === 1) return whole(OLD, [...first], HALF + 1000);
      if (request.headers.has("range")) return part(NEW, request, [...second], range);
      return whole(NEW, [...second]);
    });
    expect((await download(server.url("file"))).equals(NEW)).toBe(true);
  });
}

test("a download with a strong ETag is resumed, with If-Range", async () => {
  const server = new RawServer((request) => {
    return request.count === 1 ? whole(OLD, [STRONG], HALF) : part(OLD, request, [STRONG]);
  });
  expect((await download(server.url("file"))).equals(OLD)).toBe(true);
  expect(server.requests.map(({ from }) => from)).toEqual([0, HALF]);
  expect(server.requests[1]?.headers.get("if-range")).toBe('"s"');
});

test("after a partial reply that cannot be used, the whole file is requested once", async () => {
  const server = new RawServer((request) => {
    if (request.count === 1) return whole(OLD, [STRONG], HALF);
    return request.headers.has("range") ? part(OLD, request, []) : whole(OLD, [STRONG]);
  });
  expect((await download(server.url("file"))).equals(OLD)).toBe(true);
  expect(server.requests.map(({ headers }) => headers.has("range"))).toEqual([false, true, false]);
});

test("a spool that an earlier call left is resumed only with a strong ETag", async () => {
  for (const [headers, from] of [
    [[STRONG], HALF],
    [[DATE], 0],
    [['ETag: W/"s"'], 0],
    [[], 0],
  ] as const) {
    const server = new RawServer((request) => {
      if (request.count === 1) return whole(OLD, [...headers], HALF);
      return request.headers.has("range") ? part(OLD, request, [...headers]) : whole(OLD, [...headers]);
    });
    {
      using root = openPath(scratch, "directory");
      using spool = Spool.open(root, "raw", server.url("file"));
      await expect(fetchMain(server.url("file"), spool, [], { ...limits, tries: 1 })).rejects.toThrow();
      expect(spool.end).toBe(HALF);
      spool.keep();
    }
    expect((await download(server.url("file"))).equals(OLD)).toBe(true);
    expect(server.requests.at(-1)?.from).toBe(from);
  }
});

test("a download of a new version that is shorter than the stored part of the old one is not resumed", async () => {
  // The first half of both is the same: the ETag of the second version must not be used for the stored bytes of the
  // first.
  const server = new RawServer((request) => {
    if (request.count === 1) return whole(OLD, ['ETag: "old"'], HALF + 5000);
    if (request.count === 2) return whole(NEW, ['ETag: "new"'], HALF - 5000);
    return request.headers.has("range") ? part(NEW, request, ['ETag: "new"']) : whole(NEW, ['ETag: "new"']);
  });
  expect((await download(server.url("file"))).equals(NEW)).toBe(true);
});

test("a partial reply to a request without a range is an error", async () => {
  const server = new RawServer((request) => part(OLD, request, [STRONG]));
  await expect(download(server.url("file"))).rejects.toThrow("sent a part of the file that was not requested");
});

test("a partial reply to a request for the whole file is an error, also after the beginning was received", async () => {
  const server = new RawServer((request) => {
    if (request.count > 50) return null;
    return request.count === 1 ? whole(OLD, [STRONG], HALF) : part(OLD, request, [STRONG], `bytes 1-2/${SIZE}`);
  });
  await expect(download(server.url("file"))).rejects.toThrow("sent a part of the file that was not requested");
  expect(server.requests.map(({ headers }) => headers.has("range"))).toEqual([false, true, false]);
});

for (const second of [[], ['ETag: W/"s"']]) {
  test(`parts of further connections with the header '${second[0] ?? "nothing"}' are not used`, async () => {
    const large = Buffer.alloc(4 << 20, 1);
    const other = Buffer.alloc(4 << 20, 2);
    let parts = 0;
    const server = new RawServer(({ headers }) => {
      const asked = /^bytes=(\d+)-(\d*)$/.exec(headers.get("range") ?? "");
      if (asked === null) {
        return { head: ["200 OK", "Accept-Ranges: bytes", STRONG, `Content-Length: ${large.length}`], body: large };
      }
      parts++;
      const [from, to] = [Number(asked[1]), asked[2] ? Number(asked[2]) + 1 : large.length];
      const head = ["206 Partial Content", `Content-Length: ${to - from}`, ...second];
      return {
        head: [...head, `Content-Range: bytes ${from}-${to - 1}/${large.length}`],
        body: other.subarray(from, to),
      };
    });
    const parallel = { fromBytes: 1 << 20, trialBytes: 128 << 10, fastBytesPerSecond: 2 ** 50, connections: 4 };
    expect((await download(server.url("large"), { ...limits, parallel })).equals(large)).toBe(true);
    expect(parts).toBeGreaterThan(0);
  });
}
