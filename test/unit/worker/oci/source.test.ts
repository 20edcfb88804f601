// Blobs of a registry: what happens where the taker of the bytes and the connection end at different times.
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ErrnoError } from "../../../../src/base/error.ts";
import { inNextTurn } from "../../../../src/base/next-turn.ts";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import { type HttpReply, NoServerError } from "../../../../src/worker/download/http.ts";
import type { OciRegistry } from "../../../../src/worker/oci/registry.ts";
import { registrySource } from "../../../../src/worker/oci/source.ts";

const nextTurn = () => new Promise<void>((resolve) => inNextTurn(resolve));

test("a connection that ends after the taker of its bytes has failed is no error of its own", async () => {
  const scratch = mkdtempSync(join(tmpdir(), "source-"));
  const unhandled: unknown[] = [];
  const note = (error: unknown) => void unhandled.push(error);
  process.on("unhandledRejection", note);
  try {
    const failed = Promise.withResolvers<void>();
    const over = Promise.withResolvers<void>();
    async function* body() {
      yield Buffer.from("data");
      await failed.promise;
      over.resolve();
    }
    const reply = (): HttpReply => ({
      status: 200,
      headers: new Headers(),
      url: new URL("http://x/blob"),
      body: Object.assign(body(), { [Symbol.dispose]: () => {} }) as unknown as HttpReply["body"],
    });
    const address = { protocol: "http", registry: "x", image: "y", version: "z" };
    const registry = { address, url: () => "http://x/blob", get: async () => reply() } as unknown as OciRegistry;
    using root = openPath(scratch, "directory");
    const layer = { mediaType: "", digest: `sha256:${"a".repeat(64)}`, size: 4, urls: [], data: null };
    const take = async (chunks: AsyncIterable<Buffer>) => {
      for await (const _ of chunks) throw new Error("the archive is damaged");
    };
    const blob = registrySource(registry).blob(layer, { root, take, isHere: () => false });
    await expect(blob).rejects.toThrow("the archive is damaged");
    expect(readdirSync(scratch)).toEqual([]);
    failed.resolve();
    await over.promise;
    for (let turn = 0; turn < 3; turn++) await nextTurn();
    expect(unhandled).toEqual([]);
  } finally {
    process.off("unhandledRejection", note);
    rmSync(scratch, { recursive: true });
  }
});

describe("the received part of a layer", () => {
  const LOST = new NoServerError("ECONNRESET", "Connection to 'x' failed: Connection refused");

  /** What stays of a layer of which a part has arrived when the connection ends, or the taker refuses it. */
  async function leftAfter(cause: "connection" | Error): Promise<string[]> {
    const scratch = mkdtempSync(join(tmpdir(), "source-"));
    try {
      const refused = Promise.withResolvers<void>();
      async function* body() {
        yield Buffer.from("data");
        if (cause !== "connection") await refused.promise;
        throw LOST;
      }
      const reply: HttpReply = {
        status: 200,
        headers: new Headers({ ETag: '"one"', "Content-Length": "8" }),
        url: new URL("http://x/blob"),
        body: Object.assign(body(), { [Symbol.dispose]: () => {} }) as unknown as HttpReply["body"],
      };
      const address = { protocol: "http", registry: "x", image: "y", version: "z" };
      const registry = { address, url: () => "http://x/blob", get: async () => reply } as unknown as OciRegistry;
      using root = openPath(scratch, "directory");
      const layer = { mediaType: "", digest: `sha256:${"a".repeat(64)}`, size: 8, urls: [], data: null };
      const take = async (chunks: AsyncIterable<Buffer>) => {
        for await (const _ of chunks) if (cause !== "connection") throw cause;
      };
      const blob = registrySource(registry).blob(layer, { root, take, isHere: () => false });
      await expect(blob).rejects.toThrow(cause === "connection" ? LOST.message : cause.message);
      refused.resolve();
      return readdirSync(scratch).map((name) => name.replace(/^.*\./, ""));
    } finally {
      rmSync(scratch, { recursive: true });
    }
  }

  test("is kept where the connection has failed", async () => {
    expect((await leftAfter("connection")).sort()).toEqual(["part", "state"]);
  });

  test.each([
    new ErrnoError("EBADMSG", "Compressed data (gzip) is damaged or truncated"),
    new ErrnoError("ENOSPC", "Disk is full: 1M are left"),
  ])(
    "is removed after '$message': a later call would fail at once with the same bytes, or find no space",
    async (error) => {
      expect(await leftAfter(error)).toEqual([]);
    },
  );
});
