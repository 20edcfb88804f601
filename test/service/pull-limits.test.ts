// Downloads from servers that never finish, with limits that a test can wait for.

import { expect, setDefaultTimeout, test } from "bun:test";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { errnoNameOf } from "../../src/base/error.ts";
import { openPath } from "../../src/kernel/file/fd.ts";
import { type HttpReply, httpGet } from "../../src/worker/download/http.ts";
import { JOB_LIMITS, type JobLimits } from "../../src/worker/download/limits.ts";
import { fetchSide } from "../../src/worker/download/small-file.ts";
import { parseCommandLine } from "../../src/worker/program/command-line.ts";
import type { CommandLine } from "../../src/worker/program/options.ts";
import { download } from "../../src/worker/transfer/pull-download.ts";
import { type PullKind, PullPlace } from "../../src/worker/transfer/pull-image.ts";
import { rootTest } from "../kernel/support.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { archive } from "../unit/worker/archive-builder.ts";
import { entries, FaultyServer, RawServer, Scratch } from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

const scratch = new Scratch();
const server = new FaultyServer();
const IMPATIENT: JobLimits = { ...JOB_LIMITS, firstPauseMs: 1, tries: 3, answerMs: 300, slowMs: 200 };

/** A download that fails; returns the error and the files that are left. */
async function failing(kind: PullKind, url: string, changes: Partial<JobLimits> = {}) {
  const path = scratch.root();
  mkdirSync(path);
  using root = openPath(path, "directory");
  const { options } = parseCommandLine("systemd-pull", [`--image-root=${path}`, "--sync=no"]) as CommandLine;
  const place = new PullPlace(root, { path, url, kind, options, direct: null, local: null });
  const result = download(place, [], { ...IMPATIENT, ...changes }, { progress: () => {} });
  const error = await result.then(
    () => new Error("it succeeded"),
    (reason: unknown) => reason as Error,
  );
  return { error: `${errnoNameOf(error)} ${error.message}`, left: entries(path) };
}

/** A body without an end, as fast as it is read. */
function endless(piece: Buffer): ReadableStream<Uint8Array> {
  return new ReadableStream({ pull: (to) => to.enqueue(new Uint8Array(piece)) });
}

rootTest("the download of a body without an end stops at the limit, and no file stays", async () => {
  server.pages["endless.raw"] = { answer: () => new Response(endless(Buffer.alloc(64 << 10, 7))) };
  const { error, left } = await failing("raw", server.url("endless.raw"), { mainBytes: 4 << 20 });
  expect([error, left]).toEqual(["EFBIG File overly large, refusing.", []]);
  const side = fetchSide(server.url("endless.raw"), IMPATIENT);
  await expect(side).rejects.toThrow("File overly large, refusing.");
});

/** Sends a little of a mebibyte from the requested position, and then nothing more, or closes the connection. */
function stingy(after: "close" | "wait"): RawServer {
  const size = 1 << 20;
  return new RawServer(({ from }) => ({
    head: [
      from > 0 ? "206 Partial Content" : "200 OK",
      `Content-Length: ${size - from}`,
      'ETag: "s"',
      ...(from > 0 ? [`Content-Range: bytes ${from}-${size - 1}/${size}`] : []),
    ],
    body: Buffer.alloc(20_000, 1),
    after,
  }));
}

test("a reader that is slow itself does not make the server too slow", async () => {
  server.pages["large.raw"] = { body: Buffer.alloc(8 << 20, 7) };
  const mute = new RawServer(() => ({ head: ["200 OK", "Content-Length: 10"], after: "wait" }));
  const bytesOf = async ({ body }: HttpReply, atFirst: () => Promise<void>) => {
    let bytes = 0;
    for await (const chunk of body) {
      if (bytes === 0) await atFirst();
      bytes += chunk.length;
    }
    return bytes;
  };
  // Does not read for as long as it takes until a server that sends nothing is given up, three times.
  const pause = async () => {
    for (let time = 0; time < 3; time++) {
      const reply = await httpGet(mute.url("mute"), { limits: IMPATIENT });
      await expect(bytesOf(reply, async () => {})).rejects.toThrow("Download too slow");
    }
  };
  const reply = await httpGet(server.url("large.raw"), { limits: IMPATIENT });
  expect(await bytesOf(reply, pause)).toBe(8 << 20);
});

rootTest("a download that is too slow fails, although each try gets some bytes", async () => {
  const dripping = stingy("wait");
  const { error } = await failing("raw", dripping.url("drip.raw"), { slowBytesPerSecond: 1_000_000 });
  expect(error).toBe("ETIMEDOUT Download too slow, giving up");
  expect(dripping.requests.map(({ from }) => from)).toEqual([0, 20_000, 40_000]);
});

rootTest("a download fails when the server closes each connection after a few bytes", async () => {
  const cutting = stingy("close");
  const { error } = await failing("raw", cutting.url("s.raw"));
  expect(error).toMatch(/^(ECONNRESET Connection to .* failed|EIO Download truncated)/);
  expect(cutting.requests.length).toBe(IMPATIENT.tries);
});

rootTest("a download fails when the server never answers", async () => {
  const silent = new FaultyServer();
  silent.pages["s.raw"] = { answer: () => new Promise<Response>(() => {}) };
  const { error, left } = await failing("raw", silent.url("s.raw"));
  expect(error).toBe(`ETIMEDOUT No answer from '${new URL(silent.url("")).host}'`);
  expect(left).toEqual([]);
});

rootTest("a download fails with the reason when the server announces more bytes than it sends", async () => {
  const short = new RawServer(() => ({ head: ["200 OK", "Content-Length: 1000"], body: Buffer.alloc(10) }));
  expect((await failing("tar", short.url("x.tar"))).error).toMatch(
    /^(ECONNRESET Connection to .* failed|EIO Download trunc)/,
  );
});

rootTest("a download fails when the server has another file at each try", async () => {
  const body = Buffer.alloc(1 << 20, 3);
  const changing = new RawServer(({ count }) => ({
    head: ["200 OK", `Content-Length: ${body.length}`, `ETag: "${count}"`],
    body: Buffer.concat([Buffer.from(`${count}`), body.subarray(0, body.length >> 1)]),
  }));
  const { error } = await failing("raw", changing.url("c.raw"));
  expect(error).toBe("ESTALE The file on the server has changed");
});

rootTest("I73: a compressed image that exceeds the limit when unpacked is refused", async () => {
  const zeros = Buffer.alloc(32 << 20);
  server.pages["bomb.raw.gz"] = { body: gzipSync(zeros) };
  server.pages["bomb.tar.gz"] = { body: gzipSync(archive({ name: "f", data: zeros })) };
  // Members that are skipped cost time, too.
  server.pages["skipped.tar.gz"] = { body: gzipSync(archive({ name: "label", type: "V", data: zeros })) };
  const limits = { contentBytes: 16 << 20 };
  for (const [kind, name] of [
    ["raw", "bomb.raw.gz"],
    ["tar", "bomb.tar.gz"],
    ["tar", "skipped.tar.gz"],
  ] as const) {
    const { error, left } = await failing(kind, server.url(name), limits);
    expect([name, error, left]).toEqual([name, "EFBIG File overly large, refusing.", []]);
  }
});

test("the error of a refused connection has the address and the kernel's reason", async () => {
  const gone = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("") });
  const { port } = gone;
  await gone.stop(true);
  await expect(httpGet(`http://127.0.0.1:${port}/`)).rejects.toThrow(
    `Connection to '127.0.0.1:${port}' failed: Connection refused`,
  );
});

test("the error of a proxy that refuses the connection has the address of the proxy", async () => {
  const gone = Bun.serve({ port: 0, hostname: "127.0.0.1", fetch: () => new Response("") });
  const proxy = `127.0.0.1:${gone.port}`;
  await gone.stop(true);
  const source = join(import.meta.dir, "../../src/worker/download/http.ts");
  const code = `import { httpGet } from ${JSON.stringify(source)};
    await httpGet("http://images.invalid/").catch((error) => console.log(error.message));`;
  const said = async (env: Record<string, string>) => {
    const child = Bun.spawn([process.execPath, "-e", code], { env: { PATH: process.env["PATH"] ?? "", ...env } });
    return (await child.stdout.text()).trim();
  };
  expect(await said({ http_proxy: `http://user:secret@${proxy}` })).toBe(
    `Connection to 'images.invalid' through the proxy '${proxy}' failed: Connection refused`,
  );
  expect(await said({ http_proxy: `http://${proxy}`, no_proxy: "images.invalid" })).not.toContain("proxy");
});
