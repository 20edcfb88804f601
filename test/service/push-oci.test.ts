// Images pushed to a simulated registry: which requests are sent, what is not sent again, and registries that refuse,
// lie or fail.
import { expect, setDefaultTimeout } from "bun:test";
import { randomBytes } from "node:crypto";
import { linkSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { rootTest } from "../kernel/support.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";
import { PlayedRegistry, type PushRequest, plainRegistries, refusal, reply, sha256 } from "./played-registry.ts";
import { runWorker, Scratch, startWorker } from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

const scratch = new Scratch();
const registry = new PlayedRegistry();
const other = new PlayedRegistry();
const rules = plainRegistries(scratch.path, registry.host, other.host);
const pool = scratch.root();
const LARGE = 3 << 20;

mkdirSync(join(pool, "web/etc"), { recursive: true });
writeFileSync(join(pool, "web/etc/name"), "web");
linkSync(join(pool, "web/etc/name"), join(pool, "web/etc/again"));
mkdirSync(join(pool, "large"));
writeFileSync(join(pool, "large/noise"), randomBytes(LARGE));
writeFileSync(join(pool, "disk.raw"), Buffer.alloc(4096));

const auth = join(scratch.path, "auth.json");
const LOGIN = Buffer.from("me:secret").toString("base64");
writeFileSync(auth, JSON.stringify({ auths: { [registry.host]: { auth: LOGIN } } }));

const ENV = { MACHINED_OCI_REGISTRIES: rules, REGISTRY_AUTH_FILE: "/nonexistent" };
const argsOf = (image: string, reference: string, ...more: string[]) => [
  "oci",
  `--image-root=${pool}`,
  ...more,
  image,
  reference,
];
const push = (image: string, env: Record<string, string> = {}, ...more: string[]) =>
  runWorker("systemd-export", argsOf(image, `${registry.host}/team/${image}:1`, ...more), { ...ENV, ...env });

/** Clears the recorded requests and the stored blobs. */
function fresh(before?: (request: PushRequest) => ReturnType<PlayedRegistry["before"]>): void {
  for (const one of [registry, other]) {
    one.forget();
    for (const kept of [one.blobs, one.manifests, one.sessions, one.repositories]) kept.clear();
    one.separates = false;
    one.location = (session) => `/v2/uploads/${session}?state=1`;
  }
  if (before !== undefined) registry.before = before;
}

interface Manifest {
  readonly config: { readonly digest: string };
  readonly layers: readonly { readonly digest: string; readonly mediaType: string; readonly size: number }[];
}

const manifest = (): Manifest => JSON.parse((registry.manifests.get("1") ?? Buffer.from("{}")).toString());

/** Fails unless the directory of images has no files of a push. */
function expectNothingLeft(): void {
  expect(readdirSync(pool).filter((name) => name.startsWith(".#") && !name.endsWith(".lck"))).toEqual([]);
}

rootTest("pushed blobs have the digests in their documents, and the same tree is not sent again", async () => {
  fresh();
  expect(await push("web")).toMatchObject({ code: 0 });
  const { config, layers } = manifest();
  const [layer] = layers;
  const packed = registry.blobs.get(layer?.digest ?? "") as Buffer;
  const { rootfs } = JSON.parse((registry.blobs.get(config.digest) as Buffer).toString());
  expect(layer).toMatchObject({ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", size: packed.length });
  expect(rootfs.diff_ids).toEqual([sha256(gunzipSync(packed))]);
  const before = registry.manifests.get("1");
  registry.forget();
  expect(await push("web")).toMatchObject({ code: 0 });
  expect(registry.asked).toEqual(["POST uploads", "HEAD blob", "HEAD blob", "PUT manifest", "DELETE session"]);
  expect(registry.manifests.get("1")).toEqual(before as Buffer);
  expect(await push("web", {}, "--format=zstd")).toMatchObject({ code: 0 });
  const zstd = registry.blobs.get(manifest().layers[0]?.digest ?? "") as Buffer;
  expect([sha256(zstdDecompressSync(zstd))]).toEqual(rootfs.diff_ids);
  expectNothingLeft();
});

rootTest(
  "a large layer is sent in parts, with progress, and after a cut it is resumed where the registry was",
  async () => {
    fresh(({ method, count }) => (method === "PATCH" && count === 2 ? reply(500) : null));
    const { code, log } = await push("large");
    expect([code, log]).toEqual([0, expect.stringMatching(/Sent \d+% of .*left at/)]);
    const parts = registry.requests.filter(({ method }) => method === "PATCH");
    expect(parts.length).toBeGreaterThanOrEqual(3);
    const sent = parts.filter((_, index) => index !== 1).map(({ body }) => body);
    expect(registry.blobs.get(manifest().layers[0]?.digest ?? "")).toEqual(Buffer.concat(sent));
    expect(registry.asked).toContain("GET session");
  },
);

rootTest("parts have at least the size that the registry requires", async () => {
  fresh();
  registry.before = (request) => {
    if (request.method !== "POST") return null;
    const begun = registry.play(request);
    begun.headers.set("OCI-Chunk-Min-Length", String(2 << 20));
    return begun;
  };
  expect(await push("large")).toMatchObject({ code: 0 });
  const [first] = registry.requests.filter(({ method }) => method === "PATCH");
  expect(first?.body.length).toBe(2 << 20);
});

rootTest("an upload that the registry has forgotten is started again", async () => {
  fresh(({ method, count }) => {
    if (method !== "PATCH" || count !== 2) return null;
    registry.sessions.clear();
    return null;
  });
  expect(await push("large")).toMatchObject({ code: 0 });
  expect(registry.asked.filter((one) => one === "POST uploads").length).toBe(3);
});

for (const [what, status, text] of [
  ["401", 401, "refuses the login for a push"],
  ["403", 403, "does not let this login push"],
  ["404", 404, "has no repository"],
] as const) {
  rootTest(`when a registry answers ${what}, the push fails with that reason before anything is packed`, async () => {
    fresh(({ method }) => {
      const headers = status === 401 ? { "WWW-Authenticate": 'Basic realm="x"' } : {};
      return method === "POST"
        ? refusal(status, "DENIED", "not you\u001b[31m", headers as Record<string, string>)
        : null;
    });
    const { code, log } = await push("web", { REGISTRY_AUTH_FILE: auth });
    expect([code, log]).toEqual([1, expect.stringContaining(text)]);
    expect(log).toContain("DENIED: not you?[31m");
    expect(registry.asked).not.toContain("HEAD blob");
    expectNothingLeft();
  });
}

rootTest("the error for a blob that is too large for the registry has the blob's size", async () => {
  fresh(({ method }) => (method === "PATCH" ? refusal(413, "SIZE_INVALID", "too much") : null));
  const { code, log } = await push("large");
  expect([code, log]).toEqual([1, expect.stringMatching(/takes no request of 1M .*SIZE_INVALID: too much/)]);
  expectNothingLeft();
});

rootTest("a request to a busy registry is repeated at the time that it names", async () => {
  fresh(({ method, count }) => (method === "PUT" && count === 1 ? reply(429, { "Retry-After": "1" }) : null));
  const { code, log } = await push("web");
  expect([code, log]).toEqual([0, expect.stringContaining("code 429")]);
});

rootTest("a blob that was stored before the answer was lost is not sent again", async () => {
  fresh(async (request) => {
    if (request.method !== "PUT" || !request.path.includes("/uploads/") || request.count > 1) return null;
    registry.play(request);
    return reply(502);
  });
  expect(await push("large")).toMatchObject({ code: 0 });
  expect(registry.requests.filter(({ method }) => method === "PATCH").length).toBeLessThan(5);
});

for (const [what, answer] of [
  ["of a blob", (request: PushRequest) => request.method === "PUT" && request.path.includes("/uploads/")],
  ["of the manifest", (request: PushRequest) => request.method === "PUT" && request.path.includes("/manifests/")],
  ["of a blob that it already has", (request: PushRequest) => request.method === "HEAD"],
] as const) {
  rootTest(`a registry that lies about the digest ${what} is an error`, async () => {
    const lie = { "Docker-Content-Digest": `sha256:${"0".repeat(64)}` };
    fresh((request) => (answer(request) ? reply(request.method === "HEAD" ? 200 : 201, lie) : null));
    const { code, log } = await push("web");
    expect([code, log]).toEqual([1, expect.stringContaining("UPLOAD INVALID")]);
    expectNothingLeft();
  });
}

rootTest("a push fails when the registry reports more bytes than were sent, or never stores any", async () => {
  fresh(({ method }) => (method === "PATCH" ? reply(202, { Location: "/v2/uploads/x", Range: "0-99999999" }) : null));
  expect(await push("large")).toMatchObject({
    code: 1,
    log: expect.stringContaining("bytes of an upload, of which 1048576 were sent"),
  });
});

rootTest("an upload may be redirected to another server, to which no login is sent", async () => {
  fresh((request) => {
    const isKnown = request.headers.get("authorization") === `Basic ${LOGIN}`;
    return isKnown ? null : reply(401, { "WWW-Authenticate": 'Basic realm="x"' });
  });
  registry.location = (session) => {
    other.sessions.set(session, Buffer.alloc(0));
    return `http://${other.host}/v2/uploads/${session}?signed=1`;
  };
  other.location = (session) => `http://${other.host}/v2/uploads/${session}`;
  // Blobs in the storage server count as the registry's.
  other.blobs.set = (digest, bytes) => {
    registry.blobs.set(digest, bytes);
    return Map.prototype.set.call(other.blobs, digest, bytes) as Map<string, Buffer>;
  };
  expect(await push("large", { REGISTRY_AUTH_FILE: auth })).toMatchObject({ code: 0 });
  expect(other.requests.length).toBeGreaterThan(3);
  expect(other.requests.filter(({ headers }) => headers.has("authorization"))).toEqual([]);
});

for (const location of ["file:///etc/passwd", "ftp://example.com/x", "http://[", ""]) {
  rootTest(`an upload is not continued at '${location}'`, async () => {
    fresh();
    registry.location = () => location;
    const { code, log } = await push("web");
    expect([code, log]).toEqual([1, expect.stringContaining("names no usable address to continue the upload")]);
  });
}

rootTest("after a redirect, an upload is repeated at the other URL, without the login", async () => {
  fresh((request) => {
    if (request.headers.get("authorization") === null) return reply(401, { "WWW-Authenticate": 'Basic realm="x"' });
    return request.method === "PATCH" && request.count === 1
      ? reply(307, { Location: `http://${other.host}${request.path}` })
      : null;
  });
  other.before = (request) => registry.play(request);
  expect(await push("large", { REGISTRY_AUTH_FILE: auth })).toMatchObject({ code: 0 });
  expect(other.requests.length).toBeGreaterThan(0);
  expect(other.requests.filter(({ headers }) => headers.has("authorization"))).toEqual([]);
});

rootTest(
  "a token is requested with the scope to push, also where the registry's challenge has a smaller scope",
  async () => {
    let scopes: string[] = [];
    fresh((request) => {
      if (request.path === "/token") {
        scopes = request.url.searchParams.getAll("scope");
        const isKnown = request.headers.get("authorization") === `Basic ${LOGIN}`;
        return isKnown ? Response.json({ token: "tok" }) : reply(401);
      }
      if (request.headers.get("authorization") === "Bearer tok") return null;
      const realm = `Bearer realm="http://${registry.host}/token",service="here",scope="repository:team/web:pull"`;
      return reply(401, { "WWW-Authenticate": realm });
    });
    expect(await push("web", { REGISTRY_AUTH_FILE: auth })).toMatchObject({ code: 0 });
    expect(scopes).toEqual(["repository:team/web:pull,push"]);
  },
);

rootTest("a login from standard input is used for its registry only, and without one no file is read", async () => {
  const seen = () => registry.requests.map(({ headers }) => headers.get("authorization"));
  const denying = (request: PushRequest) =>
    request.headers.get("authorization") === null ? reply(401, { "WWW-Authenticate": 'Basic realm="x"' }) : null;
  const withInput = async (login: object) => {
    fresh(denying);
    const path = join(scratch.path, "login");
    writeFileSync(path, JSON.stringify(login));
    const command = `exec '${process.execPath}' '${join(import.meta.dir, "../../src/main.ts")}' systemd-export oci \
      --image-root='${pool}' --credentials=stdin web '${registry.host}/team/web:1' <'${path}'`;
    const child = Bun.spawn(["sh", "-c", command], {
      env: { PATH: process.env["PATH"] ?? "", ...ENV, REGISTRY_AUTH_FILE: auth },
      stdio: ["ignore", "ignore", "ignore"],
    });
    return child.exited;
  };
  expect(await withInput({ registry: registry.host, user: "u", password: "p" })).toBe(0);
  expect(seen()).toContain(`Basic ${Buffer.from("u:p").toString("base64")}`);
  expect(await withInput({ registry: "elsewhere", user: "u", password: "p" })).toBe(1);
  expect(seen().filter((one) => one !== null)).toEqual([]);
  expect(await withInput({})).toBe(1);
  fresh(denying);
  expect(await push("web", { REGISTRY_AUTH_FILE: auth }, "--credentials=none")).toMatchObject({ code: 1 });
  expect(seen().filter((one) => one !== null)).toEqual([]);
});

rootTest("an image that cannot be a container image is refused with the reason", async () => {
  fresh();
  expect(await push("disk")).toMatchObject({ code: 1, log: expect.stringContaining("is a disk image") });
  expect(await push("nothing")).toMatchObject({ code: 1, log: expect.stringContaining("not found") });
  expect(await push("web", {}, "--format=xz")).toMatchObject({ code: 1, log: expect.stringContaining("gzip or zstd") });
  expect(await push("web", {}, "--base=web")).toMatchObject({
    code: 1,
    log: expect.stringContaining("base of itself"),
  });
  for (const reference of ["web", `${registry.host}/web@sha256:${"0".repeat(64)}`, "../x"]) {
    const run = await runWorker("systemd-export", argsOf("web", reference), ENV);
    expect(run).toMatchObject({ code: 1, log: expect.stringContaining(`Reference '${reference}'`) });
  }
  expect(registry.requests).toEqual([]);
  mkdirSync(join(pool, "hidden"));
  writeFileSync(join(pool, "hidden/.wh.x"), "");
  expect(await push("hidden")).toMatchObject({
    code: 1,
    log: expect.stringContaining("'./.wh.x' cannot be in a container"),
  });
  expectNothingLeft();
});

rootTest(
  "with a base, the first layer is that of the base's own push, and the second has only the difference",
  async () => {
    fresh();
    Bun.spawnSync(["cp", "-a", join(pool, "large"), join(pool, "clone")]);
    writeFileSync(join(pool, "clone/new"), "new");
    symlinkSync("/nowhere", join(pool, "clone/link"));
    rmSync(join(pool, "clone/noise"));
    expect(await push("large")).toMatchObject({ code: 0 });
    const whole = manifest().layers[0]?.digest;
    registry.forget();
    expect(await push("clone", {}, "--base=large")).toMatchObject({ code: 0 });
    const [first, second] = manifest().layers;
    expect(first?.digest).toBe(whole as string);
    const listing = Bun.spawnSync(["tar", "tz"], { stdin: registry.blobs.get(second?.digest ?? "") as Buffer });
    expect(listing.stdout.toString().split("\n").sort()).toEqual(["", "./", "./.wh.noise", "./link", "./new"]);
    expect(registry.asked.filter((one) => one.startsWith("P"))).toEqual([
      "POST uploads",
      "PUT session",
      "POST uploads",
      "PUT session",
      "PUT manifest",
    ]);
  },
);

rootTest(
  "the layers of a pulled stack are pushed unchanged, and files that were written to it are another layer",
  async () => {
    fresh(({ method, path }) => {
      const blob = method === "GET" ? registry.blobs.get(path.split("/").at(-1) ?? "") : undefined;
      const tagged = method === "GET" ? registry.manifests.get(path.split("/").at(-1) ?? "") : undefined;
      const found = blob ?? tagged;
      return found === undefined ? null : new Response(new Uint8Array(found));
    });
    const root = scratch.root();
    const reference = `${registry.host}/team/large`;
    const env = { ...ENV, MACHINED_OCI_STACK: "yes" };
    const pushStack = (target: string) =>
      runWorker("systemd-export", ["oci", `--image-root=${root}`, "stack", `${registry.host}/${target}`], env);
    expect(await push("large")).toMatchObject({ code: 0 });
    const [whole] = manifest().layers;
    expect(
      await runWorker("systemd-pull", ["oci", `--image-root=${root}`, `${reference}:1`, "stack"], env),
    ).toMatchObject({
      code: 0,
    });
    expect(await pushStack("team/large:1")).toMatchObject({ code: 0 });
    expect(manifest().layers.map(({ digest }) => digest)).toEqual([whole?.digest ?? ""]);
    mkdirSync(join(root, "stack.mstack/rw/data"), { recursive: true });
    writeFileSync(join(root, "stack.mstack/rw/data/new"), "new");
    expect(Bun.spawnSync(["mknod", join(root, "stack.mstack/rw/data/noise"), "c", "0", "0"]).exitCode).toBe(0);
    expect(await pushStack("team/large:1")).toMatchObject({ code: 0 });
    const [first, second, ...more] = manifest().layers;
    expect([first, more]).toEqual([whole, []]);
    const listing = Bun.spawnSync(["tar", "tz"], { stdin: registry.blobs.get(second?.digest ?? "") as Buffer });
    expect(listing.stdout.toString().split("\n").sort()).toEqual(["", "./", "./.wh.noise", "./new"]);
    // If the registry does not have all of them, the image is one layer.
    registry.blobs.clear();
    expect(await pushStack("team/large:1")).toMatchObject({ code: 0 });
    expect(manifest().layers.length).toBe(1);
    mkdirSync(join(root, "stack.mstack/bind@srv"));
    expect(await pushStack("team/large:1")).toMatchObject({ code: 1, log: expect.stringContaining("'bind@srv'") });
    expect(readdirSync(root).filter((name) => name.startsWith(".#") && !name.endsWith(".lck"))).toEqual([]);
  },
);

const serving = ({ method, path }: PushRequest) => {
  const name = path.split("/").at(-1) ?? "";
  const found = method === "GET" ? (registry.blobs.get(name) ?? registry.manifests.get(name)) : undefined;
  return found === undefined ? null : new Response(new Uint8Array(found));
};
const pushTo = (repository: string, env: Record<string, string> = {}, root = pool, image = "large") =>
  runWorker("systemd-export", ["oci", `--image-root=${root}`, image, `${registry.host}/${repository}:1`], {
    ...ENV,
    ...env,
  });
const bodies = () => registry.requests.filter(({ method, path }) => path.includes("/uploads/") && method !== "GET");
const layerUploads = () => bodies().filter(({ body }) => body.length > 100_000).length;
const mounts = () => registry.requests.flatMap(({ url }) => url.searchParams.get("from") ?? []);

rootTest("a layer of another repository is mounted, if it was pushed or pulled there before", async () => {
  fresh();
  registry.separates = true;
  expect(await pushTo("one/large")).toMatchObject({ code: 0 });
  registry.forget();
  const { code, log } = await pushTo("two/large");
  expect([code, log]).toEqual([
    0,
    expect.stringMatching(/has linked layer sha256:\w+ from its repository 'one\/large'/),
  ]);
  expect([mounts(), layerUploads()]).toEqual([["one/large"], 0]);
  expect(registry.repositories.get(manifest().layers[0]?.digest ?? "")?.has("two/large")).toBe(true);
  // A host that has only pulled the image: its stack is not packed again.
  const root = scratch.root();
  const env = { MACHINED_OCI_STACK: "yes" };
  registry.before = serving;
  expect(
    await runWorker("systemd-pull", ["oci", `--image-root=${root}`, `${registry.host}/two/large:1`, "stack"], {
      ...ENV,
      ...env,
    }),
  ).toMatchObject({ code: 0 });
  const [layer] = manifest().layers;
  registry.forget();
  registry.before = serving;
  expect(await pushTo("three/large", env, root, "stack")).toMatchObject({ code: 0 });
  expect([mounts(), layerUploads(), manifest().layers]).toEqual([["two/large"], 0, layer === undefined ? [] : [layer]]);
});

rootTest("a registry that is busy when it is asked for a pulled layer is asked again", async () => {
  const root = scratch.root();
  const env = { ...ENV, MACHINED_OCI_STACK: "yes" };
  const isAsked = ({ method, path }: PushRequest) => path.includes("/blobs/sha256:") && method !== "PUT";
  for (const busy of ["HEAD", "GET"]) {
    fresh();
    expect(await push("large", {}, "--format=zstd")).toMatchObject({ code: 0 });
    const { layers } = manifest();
    registry.before = serving;
    const reference = `${registry.host}/team/large:1`;
    const pulled = await runWorker("systemd-pull", ["oci", `--image-root=${root}`, reference, busy], env);
    expect(pulled).toMatchObject({ code: 0 });
    registry.forget();
    registry.before = (request) =>
      isAsked(request) && request.method === busy && request.count === 1 ? reply(429) : serving(request);
    const { code, log } = await pushTo("team/large", env, root, busy);
    expect([code, log]).toEqual([0, expect.stringContaining("code 429")]);
    expect([layerUploads(), manifest().layers]).toEqual([0, layers]);
  }
});

for (const [what, answer] of [
  ["begins an upload instead", null],
  ["forbids it", 403],
  ["does not know the other repository", 404],
  ["wants another login for it", 401],
] as const) {
  rootTest(`a layer is sent where the registry ${what}`, async () => {
    fresh();
    registry.separates = true;
    expect(await pushTo("one/large")).toMatchObject({ code: 0 });
    registry.repositories.clear();
    registry.forget();
    registry.before = ({ url }) =>
      answer !== null && url.searchParams.has("mount")
        ? reply(answer, answer === 401 ? { "WWW-Authenticate": 'Basic realm="x"' } : {})
        : null;
    expect(await pushTo("two/large", { REGISTRY_AUTH_FILE: auth })).toMatchObject({ code: 0 });
    expect(mounts().length).toBeGreaterThan(0);
    expect(layerUploads()).toBeGreaterThan(0);
    expect(registry.sessions.size).toBe(0);
    expectNothingLeft();
  });
}

rootTest(
  "repositories of other registries, and a damaged list of repositories, are not asked for a layer",
  async () => {
    const list = join(pool, ".oci-repositories");
    fresh();
    expect(await push("large")).toMatchObject({ code: 0 });
    const digest = manifest().layers[0]?.digest ?? "";
    for (const text of [
      "",
      "\0\0",
      `${digest} ${other.host} a/b\n`,
      `${digest} ${registry.host} a/../b\n${digest}`,
      "x".repeat(2 << 20),
    ]) {
      fresh();
      writeFileSync(list, text);
      expect(await push("large")).toMatchObject({ code: 0 });
      expect(mounts()).toEqual([]);
    }
    expect(readFileSync(list, "utf8")).toBe(`${digest} ${registry.host} team/large\n`);
    fresh();
    rmSync(list);
    mkdirSync(list);
    expect(await push("large")).toMatchObject({ code: 0 });
    rmSync(list, { recursive: true });
  },
);

rootTest(
  "a token for a mount is requested with the other repository's scope, and the push continues without it",
  async () => {
    const scopesOf = new Map<string, string>();
    const mayPull = (isPermitted: boolean) => (request: PushRequest) => {
      if (request.path === "/token") {
        const asked = request.url.searchParams.getAll("scope");
        const token = `t${scopesOf.size}`;
        scopesOf.set(token, asked.filter((scope) => isPermitted || scope.startsWith("repository:two/")).join(" "));
        return Response.json({ token });
      }
      const wanted = ["repository:two/large:pull,push"];
      if (request.path.includes("/one/")) wanted[0] = "repository:one/large:pull,push";
      if (request.url.searchParams.has("from")) wanted.push("repository:one/large:pull");
      const granted = scopesOf.get(request.headers.get("authorization")?.replace("Bearer ", "") ?? "") ?? "";
      if (wanted.every((scope) => granted.split(" ").includes(scope))) return null;
      const challenge = `Bearer realm="http://${registry.host}/token",service="here",scope="${wanted.join(" ")}"`;
      return reply(401, { "WWW-Authenticate": challenge });
    };
    for (const isPermitted of [true, false]) {
      fresh(mayPull(true));
      registry.separates = true;
      expect(await pushTo("one/large")).toMatchObject({ code: 0 });
      registry.forget();
      registry.before = mayPull(isPermitted);
      expect(await pushTo("two/large")).toMatchObject({ code: 0 });
      expect(mounts().length).toBe(2);
      expect(layerUploads() === 0).toBe(isPermitted);
    }
  },
);

for (const [what, refuses] of [
  ["PATCH with 405", ({ method }: PushRequest) => method === "PATCH" && 405],
  ["PATCH with 404", ({ method }: PushRequest) => method === "PATCH" && 404],
  [
    "each PATCH but the first with 416",
    ({ method, headers }: PushRequest) => method === "PATCH" && !headers.get("content-range")?.startsWith("0-") && 416,
  ],
] as const) {
  rootTest(`a registry that answers ${what} gets a large layer in one request, with its size`, async () => {
    fresh((request) => {
      const status = refuses(request);
      return status === false ? null : reply(status);
    });
    const { code, log } = await push("large");
    expect([code, log]).toEqual([0, expect.stringMatching(/Sent \d+% of/)]);
    const whole = registry.requests.find(({ method, body }) => method === "PUT" && body.length > LARGE);
    expect([whole?.headers.get("content-length"), whole?.headers.get("transfer-encoding") ?? null]).toEqual([
      String(whole?.body.length),
      null,
    ]);
    expectNothingLeft();
  });
}

rootTest("a registry that takes blobs only in the request that begins an upload gets them there", async () => {
  fresh((request) => {
    const digest = request.method === "POST" ? request.url.searchParams.get("digest") : null;
    if (digest !== null) {
      registry.blobs.set(digest, request.body);
      return reply(sha256(request.body) === digest ? 201 : 400);
    }
    return request.path.includes("/uploads/") && ["PUT", "PATCH"].includes(request.method) ? reply(405) : null;
  });
  expect(await push("large")).toMatchObject({ code: 0 });
  expect(registry.blobs.get(manifest().layers[0]?.digest ?? "")?.length).toBeGreaterThan(LARGE);
});

rootTest(
  "a token that expires in the middle of a layer is renewed once for each time, and nothing is sent twice",
  async () => {
    let token = 0;
    let uses = 0;
    fresh((request) => {
      if (request.path === "/token") {
        uses = 0;
        return Response.json({ token: `t${++token}` });
      }
      if (request.headers.get("authorization") === `Bearer t${token}` && ++uses <= 3) return null;
      return reply(401, { "WWW-Authenticate": `Bearer realm="http://${registry.host}/token",service="here"` });
    });
    const { code, log } = await push("large");
    expect(code).toBe(0);
    expect(token).toBeGreaterThan(1);
    expect(log).not.toContain("trying again");
    const patches = registry.requests.filter(({ method }) => method === "PATCH");
    const begins = patches.map(({ headers }) => headers.get("content-range"));
    expect(new Set(begins).size).toBeGreaterThan(1);
  },
);

rootTest("an upload is continued at relative URLs, whose query is kept", async () => {
  fresh();
  registry.location = (session) => `../uploads/${session}?a=1&b=%2F`;
  registry.before = ({ path, url }) => {
    if (path.includes("/uploads/") && !path.endsWith("/")) expect(url.search).toStartWith("?a=1&b=%2F");
    return null;
  };
  expect(await push("large")).toMatchObject({ code: 0 });
  expect(layerUploads()).toBeGreaterThan(0);
});

for (const [when, isThen] of [
  ["begins", (request: PushRequest) => request.method === "POST"],
  ["sends a part", (request: PushRequest) => request.method === "PATCH"],
  ["uploads the manifest", (request: PushRequest) => request.path.includes("/manifests/")],
] as const) {
  rootTest(`a push that is cancelled while it ${when} ends at once, and leaves no files`, async () => {
    fresh((request) => (isThen(request) ? new Promise<Response>(() => {}) : null));
    const child = startWorker("systemd-export", argsOf("large", `${registry.host}/team/large:1`), ENV);
    await waitFor(() => {
      if (!registry.requests.some(isThen)) throw new Error("it was not asked yet");
    }, "the push to be there");
    child.kill("SIGTERM");
    expect(await child.exited).toBe(4);
    expectNothingLeft();
  });
}

rootTest("a pool that is full or read-only is named as the reason, and nothing of the push is left", async () => {
  fresh();
  const small = scratch.root();
  mkdirSync(small, { recursive: true });
  const mount = (...words: string[]) => expect(Bun.spawnSync(["mount", ...words, small]).exitCode).toBe(0);
  const pushed = async () => {
    const args = ["oci", `--image-root=${small}`, "web", `${registry.host}/team/small:1`];
    const { code, log } = await runWorker("systemd-export", args, ENV);
    expect(readdirSync(small).filter((name) => name.startsWith(".#"))).toEqual([]);
    return code === 0 ? "pushed" : log;
  };
  mount("-t", "tmpfs", "-o", "size=4M", "tmpfs");
  try {
    mkdirSync(join(small, "web"));
    writeFileSync(join(small, "web/noise"), randomBytes(LARGE));
    const where = `Cannot pack the layer to push in a temporary file in '${small}'`;
    expect(await pushed()).toContain(`${where}: No space left on device`);
    writeFileSync(join(small, "web/noise"), "");
    mount("-o", "remount,ro");
    expect(await pushed()).toContain(`${where}: Read-only file system`);
    mount("-o", "remount,rw");
    expect(await pushed()).toBe("pushed");
  } finally {
    Bun.spawnSync(["umount", "-l", small]);
  }
});
