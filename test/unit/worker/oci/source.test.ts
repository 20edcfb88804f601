// Blobs of a registry: what happens where the taker of the bytes and the connection end at different times.
import { expect, test } from "bun:test";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inNextTurn } from "../../../../src/base/next-turn.ts";
import { openPath } from "../../../../src/kernel/file/fd.ts";
import type { HttpReply } from "../../../../src/worker/download/http.ts";
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
