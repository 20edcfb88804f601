// Pulls from a URL with a name and a password: the server gets them, and nobody else on the host sees them.
import { afterAll, beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import type { VarlinkClient } from "../../src/ipc/varlink/client.ts";
import { isRoot, needsRoot } from "../lib/daemon.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { workersOf } from "../lib/workers.ts";
import { Announcements, manager, TestImportd } from "./import-support.ts";

setDefaultTimeout(GUARD_MS);

const SECRET = "hunter2";
const LOGIN = `Basic ${Buffer.from(`admin:${SECRET}`).toString("base64")}`;

/** A server for admin only; the answer with the disk image waits for release(). */
class Server {
  readonly asked: string[] = [];
  readonly #released = Promise.withResolvers<void>();
  readonly #started = Promise.withResolvers<void>();
  readonly #server = Bun.serve({
    port: 0,
    hostname: "127.0.0.1",
    fetch: async ({ url, headers }) => {
      this.asked.push(headers.get("authorization") ?? "");
      if (!url.endsWith("/disk.raw")) return new Response(null, { status: 404 });
      this.#started.resolve();
      await this.#released.promise;
      return new Response("content", { headers: { ETag: '"1"' } });
    },
  });

  readonly started = this.#started.promise;
  readonly release = this.#released.resolve;

  get host(): string {
    return `127.0.0.1:${this.#server.port}`;
  }

  stop(): void {
    void this.#server.stop(true);
  }
}

describe.skipIf(!isRoot)(`pulls with a login in the URL${needsRoot}`, () => {
  const server = new Server();
  let daemon: TestImportd;
  let varlink: VarlinkClient;
  let bus: BusClient;

  beforeAll(async () => {
    daemon = await TestImportd.start({ SYSTEMD_PULL_PATH: "" });
    varlink = await daemon.varlink();
    bus = await daemon.bus();
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    server.stop();
  });

  test("they are sent to the server, and are in no list, log, signal, command line, environment or name of a file", async () => {
    const heard = await Announcements.of(bus);
    const pulled = { remote: `http://admin:${SECRET}@${server.host}/disk.raw`, local: "web", type: "raw" };
    const seen: unknown[] = [];
    const following = (async () => {
      const call = { ...pulled, class: "machine", verify: "no", keepDownload: true };
      for await (const one of varlink.callMore("io.systemd.Import.Pull", call)) seen.push(one);
    })();
    await server.started;
    seen.push(await manager(bus, "ListTransfers"), await manager(bus, "ListTransfersEx", "st", "", 0n));
    const other = await daemon.varlink();
    seen.push(await other.callAll("io.systemd.Import.ListTransfers"));
    for (const pid of workersOf(daemon.pid))
      for (const file of ["cmdline", "environ"]) seen.push(readFileSync(`/proc/${pid}/${file}`, "latin1"));
    server.release();
    await following;
    const names = readdirSync(join(daemon.images, "var/lib/machines")).sort();
    seen.push(names, heard);
    await daemon.kill();
    seen.push(daemon.log);
    const text = JSON.stringify(seen, (_, value: unknown) => (typeof value === "bigint" ? String(value) : value));
    expect(text).toContain(`http://${server.host}/disk.raw`);
    expect(text).not.toContain(SECRET);
    expect(names).toEqual([expect.stringContaining(".raw-http:"), "web.raw"]);
    expect(new Set(server.asked)).toEqual(new Set([LOGIN]));
  });
});
