// io.machined.Import.PushOci: a push as a transfer of the daemon, and the login that it uses.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import type { VarlinkClient } from "../../src/ipc/varlink/client.ts";
import { errorOf, isRoot, needsRoot } from "../lib/daemon.ts";
import { Announcements, manager, TestImportd } from "./import-support.ts";
import { PlayedRegistry, plainRegistries, reply } from "./played-registry.ts";

const PUSH = "io.machined.Import.PushOci";

describe.skipIf(!isRoot)(`pushes${needsRoot}`, () => {
  const scratch = mkdtempSync(join(tmpdir(), "push-test-"));
  const registry = new PlayedRegistry();
  let daemon: TestImportd;
  let played: TestImportd;
  let varlink: VarlinkClient;
  let bus: BusClient;
  let heard: Announcements;

  beforeAll(async () => {
    const auth = join(scratch, "auth.json");
    const login = Buffer.from("own:secret").toString("base64");
    writeFileSync(auth, JSON.stringify({ auths: { [registry.host]: { auth: login } } }));
    const env = { MACHINED_OCI_REGISTRIES: plainRegistries(scratch, registry.host), REGISTRY_AUTH_FILE: auth };
    daemon = await TestImportd.start({ ...env, SYSTEMD_EXPORT_PATH: "" });
    played = await TestImportd.start(env);
    mkdirSync(join(daemon.images, "var/lib/machines/web"));
    writeFileSync(join(daemon.images, "var/lib/machines/web/file"), "content");
    varlink = await daemon.varlink();
    bus = await daemon.bus();
    heard = await Announcements.of(bus);
  });
  afterAll(async () => {
    await daemon[Symbol.asyncDispose]();
    await played[Symbol.asyncDispose]();
    rmSync(scratch, { recursive: true });
  });

  const remote = () => `${registry.host}/team/web:1`;
  const replies = async (parameters: object) => {
    const all: Record<string, unknown>[] = [];
    for await (const one of varlink.callMore(PUSH, { local: "web", remote: remote(), ...parameters })) all.push(one);
    return all;
  };
  const asksForLogin = () => {
    registry.forget();
    registry.before = ({ headers }) =>
      headers.has("authorization") ? null : reply(401, { "WWW-Authenticate": 'Basic realm="x"' });
  };
  const logins = () => {
    const sent = registry.requests.map(({ headers }) => headers.get("authorization") ?? "");
    return new Set(sent.filter((one) => one !== "").map((one) => Buffer.from(one.slice(6), "base64").toString()));
  };

  test("a caller can follow a push to its end, with log and progress, and signals announce it to everyone", async () => {
    registry.forget();
    const sent = Promise.withResolvers<void>();
    // The daemon may see the end of a worker before its last report: the registry waits until that was announced.
    registry.before = async ({ method, path }) => {
      if (method === "PUT" && path.includes("/manifests/")) await sent.promise;
      return null;
    };
    const all: Record<string, unknown>[] = [];
    for await (const one of varlink.callMore(PUSH, { local: "web", remote: remote() })) {
      all.push(one);
      if (one["progress"] === 0.95) sent.resolve();
    }
    expect(Object.keys(all[0] ?? {})).toEqual(["id"]);
    expect(all.at(-1)).toEqual({});
    expect(all.map(({ log }) => (log as { message?: string } | undefined)?.message ?? "").join("\n")).toMatch(
      /Pushed '.*\/team\/web:1' as sha256:/,
    );
    expect(all.some(({ progress }) => progress === 0.95)).toBe(true);
    expect(await heard.result(Number(all[0]?.["id"]))).toBe("done");
    expect(registry.manifests.has("1")).toBe(true);
  });

  test("a push is listed and cancelled like other transfers, without an extension of io.systemd.Import", async () => {
    registry.forget();
    registry.before = () => new Promise(() => {});
    const { id } = await varlink.call(PUSH, { local: "web", remote: remote() });
    const [transfers] = (await manager(bus, "ListTransfersEx", "st", "", 0n)) as [unknown[][]];
    expect(transfers.map((row) => row.slice(0, 5))).toEqual([[id, "push-oci", remote(), "web", "machine"]]);
    expect(await varlink.callAll("io.systemd.Import.ListTransfers")).toEqual([
      expect.objectContaining({ id, type: "export_tar", remote: remote(), local: "web" }),
    ]);
    expect(await errorOf(replies({}))).toContain("AlreadyInProgress");
    await manager(bus, "CancelTransfer", "u", Number(id));
    expect(await heard.result(Number(id))).toBe("canceled");
  });

  test("only the login of the call is used; for root without one, that of the daemon's files", async () => {
    asksForLogin();
    await replies({ login: { registry: registry.host, user: "caller", password: "pass:word" } });
    expect(logins()).toEqual(new Set(["caller:pass:word"]));
    asksForLogin();
    await replies({});
    expect(logins()).toEqual(new Set(["own:secret"]));
    asksForLogin();
    const login = { registry: "elsewhere.example", user: "caller", password: "word" };
    expect(await errorOf(replies({ login }))).toContain("TransferFailed");
    expect(logins()).toEqual(new Set());
  });

  test("no login is on the command line or in the environment of a worker, or in the log", async () => {
    const client = await played.varlink();
    const login = { registry: "call.example", user: "caller", password: "hunter2" };
    const lines: string[] = [];
    for await (const { log } of client.callMore(PUSH, { local: "web", remote: "call.example/call", login })) {
      lines.push((log as { message?: string } | undefined)?.message ?? "");
    }
    const text = lines.join("\n");
    expect(text).toContain("--credentials=stdin");
    expect(text).toContain("memfd:login");
    expect(text).not.toContain("hunter2");
  });

  test("an unknown image, an invalid reference and an unknown format of layers are refused before a worker starts", async () => {
    for (const bad of [
      { local: "../x" },
      { remote: "web" },
      { remote: `${registry.host}/web@sha256:${"0".repeat(64)}` },
      { remote: "oci:/etc" },
      { remote: "a b/c" },
      { base: "a/b" },
      { format: "xz" },
      { class: "nothing" },
      { login: { registry: "x", user: "y" } },
      { login: { registry: "x", user: "y", password: "z".repeat(1 << 17) } },
    ]) {
      expect([bad, await errorOf(replies(bad))]).toEqual([bad, expect.stringContaining("InvalidParameter")]);
    }
    expect(await varlink.call(PUSH, { local: "web", remote: remote() })).toHaveProperty("id");
  });
});
