// Variants of registries' answers, and fields that they leave out.
import { expect, setDefaultTimeout } from "bun:test";
import { createHash, randomBytes } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { rootTest } from "../kernel/support.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { archive } from "../unit/worker/archive-builder.ts";
import {
  bytesOf,
  entries,
  FaultyServer,
  type Page,
  RawServer,
  runWorker,
  Scratch,
  startWorker,
} from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

const scratch = new Scratch();
const server = new FaultyServer();
const host = new URL(server.url("")).host;
const digestOf = (bytes: Buffer) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
const rules = join(scratch.path, "rules");
mkdirSync(rules);
writeFileSync(
  join(rules, `registry.${encodeURIComponent(host)}.oci-registry`),
  JSON.stringify({ defaultProtocol: "http" }),
);

const OCI = "application/vnd.oci.image";
const DOCKER = "application/vnd.docker";
const native = process.arch === "arm64" ? "arm64" : "amd64";
const other = native === "arm64" ? "amd64" : "arm64";
const auth = join(scratch.path, "auth.json");
const LOGIN = Buffer.from("me:secret").toString("base64");
writeFileSync(auth, JSON.stringify({ auths: { [host]: { auth: LOGIN } } }));

interface Blob {
  readonly bytes: Buffer;
  readonly mediaType: string;
}

const describe = ({ bytes, mediaType }: Blob) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });
const document = (mediaType: string, value: object): Blob => ({
  mediaType,
  bytes: Buffer.from(JSON.stringify({ schemaVersion: 2, mediaType, ...value })),
});
const layerOf = (text: string, mediaType = `${OCI}.layer.v1.tar+gzip`): Blob => ({
  mediaType,
  bytes: gzipSync(archive({ name: "name", data: text })),
});

function publish(name: string, ...blobs: Blob[]): void {
  for (const { bytes, mediaType } of blobs) {
    const page = { body: bytes, headers: { "Content-Type": mediaType } };
    server.pages[`v2/${name}/blobs/${digestOf(bytes)}`] = page;
    server.pages[`v2/${name}/manifests/${digestOf(bytes)}`] = page;
  }
}

function tag(name: string, blob: Blob, headers: Record<string, string> = { "Content-Type": blob.mediaType }): void {
  publish(name, blob);
  server.pages[`v2/${name}/manifests/latest`] = { body: blob.bytes, headers };
}

/** Publishes an image with one file that contains `text`; returns its manifest. */
function imageOf(name: string, text: string, layer = layerOf(text), platform: object = {}): Blob {
  const config: Blob = {
    mediaType: `${OCI}.config.v1+json`,
    bytes: Buffer.from(JSON.stringify({ ...platform, config: {} })),
  };
  const manifest = document(`${OCI}.manifest.v1+json`, { config: describe(config), layers: [describe(layer)] });
  publish(name, config, layer, manifest);
  return manifest;
}

const indexOf = (...manifests: object[]) => document(`${OCI}.index.v1+json`, { manifests });
const on = (architecture: string, more: object = {}) => ({ platform: { os: "linux", architecture, ...more } });

/** Makes every page of a repository available only to requests that are `isGood`; others get `headers`. */
function guard(name: string, isGood: (authorization: string | null) => boolean, headers: [string, string][]): void {
  for (const path of Object.keys(server.pages).filter((one) => one.startsWith(`v2/${name}/`))) {
    const page = server.pages[path] as Page;
    server.pages[path] = {
      answer: (request) =>
        isGood(request.headers.get("authorization"))
          ? new Response(bytesOf(page.body ?? ""), { headers: page.headers ?? {} })
          : new Response("", { status: 401, headers }),
    };
  }
}

const pull = (root: string, reference: string, options: { args?: string[]; env?: Record<string, string> } = {}) =>
  runWorker("systemd-pull", ["oci", `--image-root=${root}`, ...(options.args ?? []), reference, "img"], {
    MACHINED_OCI_REGISTRIES: rules,
    MACHINED_OCI_STACK: "no",
    REGISTRY_AUTH_FILE: "/nonexistent",
    ...options.env,
  });

async function content(reference: string, options?: Parameters<typeof pull>[2]): Promise<string> {
  const root = scratch.root();
  const { code, log } = await pull(root, reference, options);
  return code === 0 ? readFileSync(join(root, "img/name"), "utf8") : log;
}

const withLogin = { env: { REGISTRY_AUTH_FILE: auth } };

for (const [what, headers] of [
  ["without service and scope", [`Bearer realm="${server.url("token")}"`]],
  ["without quotes", [`Bearer realm=${server.url("token")},service=here,scope=repository:x:pull`]],
  ["with an empty service", [`Bearer realm="${server.url("token")}",service=""`]],
  ["with a URL without a host", ['Bearer realm="/token",service="here"']],
  ["after Basic in the same line", [`Basic realm="x", Bearer realm="${server.url("token")}"`]],
  ["after Basic in a separate line", ['Basic realm="x"', `Bearer realm="${server.url("token")}"`]],
  ["behind Negotiate", ["Negotiate", `BEARER Realm="${server.url("token")}"`]],
] as const) {
  for (const field of ["token", "access_token"]) {
    rootTest(
      `a registry that requires Bearer ${what} gets the token that the token server sent as '${field}'`,
      async () => {
        tag("bearer", imageOf("bearer", "bearer"));
        guard(
          "bearer",
          (given) => given === "Bearer tok",
          headers.map((one) => ["WWW-Authenticate", one]),
        );
        const before = server.asked("token").length;
        const asked: URL[] = [];
        server.pages["token"] = {
          answer: (request) => {
            asked.push(new URL(request.url));
            const isMe = request.headers.get("authorization") === `Basic ${LOGIN}`;
            return isMe
              ? Response.json({ token: "", [field]: "tok", expires_in: 60 })
              : new Response("", { status: 403 });
          },
        };
        expect(await content(`${host}/bearer`, withLogin)).toBe("bearer");
        expect(server.asked("token").length).toBe(before + 1);
        expect(
          asked[0]?.searchParams.getAll("scope").every((scope) => /^repository:(bearer|x):pull$/.test(scope)),
        ).toBe(true);
        expect(asked[0]?.searchParams.has("service")).toBe(JSON.stringify(headers).includes("here"));
      },
    );
  }
}

rootTest("a redirect to another host gets no login, and one from there back to the registry gets it", async () => {
  const elsewhere = new FaultyServer();
  const manifest = imageOf("around", "around");
  tag("around", manifest);
  const [layer] = (JSON.parse(manifest.bytes.toString()) as { layers: { digest: string }[] }).layers;
  const path = `v2/around/blobs/${layer?.digest}`;
  server.pages["v2/around/stored"] = server.pages[path] as Page;
  guard("around", (given) => given === `Basic ${LOGIN}`, [["WWW-Authenticate", 'Basic realm="x"']]);
  server.pages[path] = { answer: () => Response.redirect(elsewhere.url("cache"), 307) };
  elsewhere.pages["cache"] = { answer: () => Response.redirect(server.url("v2/around/stored"), 307) };
  expect(await content(`${host}/around`, withLogin)).toBe("around");
  expect(elsewhere.asked("cache").map((headers) => headers.get("authorization"))).toEqual([null]);
});

rootTest(
  "a token that expires before it is used is asked for again, a refused password is not sent again",
  async () => {
    const manifest = imageOf("short", "short");
    tag("short", manifest);
    guard("short", (given) => given !== null, [["WWW-Authenticate", `Bearer realm="${server.url("token")}"`]]);
    const [layer] = (JSON.parse(manifest.bytes.toString()) as { layers: { digest: string }[] }).layers;
    const blob = server.pages[`v2/short/blobs/${layer?.digest}`] as { answer: (request: Request) => Response };
    const used: (string | null)[] = [];
    let wanted = "Bearer 3";
    server.pages[`v2/short/blobs/${layer?.digest}`] = {
      answer: (request) => {
        const given = request.headers.get("authorization");
        used.push(given);
        return blob.answer(given === wanted ? request : new Request(request.url));
      },
    };
    let tokens = 0;
    server.pages["token"] = { answer: () => Response.json({ token: `${++tokens}` }) };
    expect(await content(`${host}/short`)).toBe("short");
    expect(used).toEqual(["Bearer 1", "Bearer 2", "Bearer 3"]);
    wanted = "none";
    tokens = 0;
    used.length = 0;
    expect(await content(`${host}/short`)).toContain("Access to image requires authentication.");
    expect(used).toEqual(["Bearer 1", "Bearer 2", "Bearer 3", "Bearer 4"]);
    used.length = 0;
    delete server.pages["token"];
    const offers: [string, string][] = [["WWW-Authenticate", 'Basic realm="x"']];
    guard("short", () => false, offers);
    const before = server.requests.length;
    expect(await content(`${host}/short`, withLogin)).toContain("Access to image requires authentication.");
    expect(server.requests.length).toBe(before + 2);
  },
);

rootTest("a registry that offers Basic and Bearer gets the password where no token can be got", async () => {
  for (const bearer of [
    'Bearer realm="http://127.0.0.1:1/token"',
    `Bearer realm="${server.url("nothing")}"`,
    "Bearer",
  ]) {
    tag("both", imageOf("both", "both"));
    const offers: [string, string][] = [["WWW-Authenticate", `${bearer}, Basic realm="x"`]];
    guard("both", (given) => given === `Basic ${LOGIN}`, offers);
    expect(await content(`${host}/both`, withLogin)).toBe("both");
    // Nothing answers at the first URL, to which no password is sent.
    if (!bearer.includes(":1/")) expect(await content(`${host}/both`)).not.toBe("both");
  }
});

rootTest("when a registry names an unknown authentication scheme, or none, the error says so", async () => {
  tag("odd", imageOf("odd", "odd"));
  guard("odd", () => false, [["WWW-Authenticate", 'Digest realm="x", Negotiate']]);
  expect(await content(`${host}/odd`, withLogin)).toContain("Registry wants authentication by 'digest', 'negotiate'");
  const many = Array.from({ length: 1000 }, (_, index) => `scheme${index}`).join(", ");
  guard("odd", () => false, [["WWW-Authenticate", many]]);
  expect((await content(`${host}/odd`, withLogin)).length).toBeLessThan(1000);
  guard("odd", () => false, []);
  expect(await content(`${host}/odd`, withLogin)).toContain("Access to image requires authentication.");
});

rootTest(
  "a password is not sent to another host without https, also when the registry's answer requests it",
  async () => {
    const thief = new FaultyServer();
    thief.pages["token"] = { answer: () => Response.json({ token: "tok" }) };
    tag("thief", imageOf("thief", "thief"));
    guard("thief", (given) => given === "Bearer tok", [["WWW-Authenticate", `Bearer realm="${thief.url("token")}"`]]);
    expect(await content(`${host}/thief`, withLogin)).toContain("it is not https");
    expect(thief.requests).toEqual([]);
  },
);

rootTest("an index in an index, as in a copy of all platforms, is searched, up to a limited depth", async () => {
  const inner = indexOf(
    { ...describe(imageOf("nested", "wrong")), ...on(other) },
    { ...describe(imageOf("nested", "right")), ...on(native) },
  );
  publish("nested", inner);
  tag("nested", indexOf(describe(inner)));
  expect(await content(`${host}/nested`)).toBe("right");
  let deep = inner;
  for (let depth = 0; depth < 6; depth++) {
    deep = indexOf(describe(deep));
    publish("nested", deep);
  }
  tag("nested", deep);
  expect(await content(`${host}/nested`)).toContain("indexes nested too deep");
  const many = Array.from({ length: 100 }, (_, index) => {
    const chart = document(`${OCI}.manifest.v1+json`, {
      artifactType: "x/y",
      layers: [],
      annotations: { n: `${index}` },
    });
    publish("nested", chart);
    return describe(chart);
  });
  tag("nested", indexOf(...many));
  expect(await content(`${host}/nested`)).toContain("too many manifests to choose from");
});

rootTest(
  "a manifest for the right platform is preferred to one without platform, and documents that are no images are skipped",
  async () => {
    const statement: Blob = { mediaType: "application/vnd.in-toto+json", bytes: Buffer.from("{}") };
    const empty: Blob = { mediaType: "application/vnd.oci.empty.v1+json", bytes: Buffer.from("{}") };
    const attestation = document(`${OCI}.manifest.v1+json`, { config: describe(empty), layers: [describe(statement)] });
    publish("beside", statement, empty, attestation);
    const right = describe(imageOf("beside", "right"));
    const unknown = describe(imageOf("beside", "unknown"));
    const rows: [string, object[], string][] = [
      ["an attestation without platform", [describe(attestation), { ...right, ...on(native) }], "right"],
      ["an attestation without platform, and an image without", [describe(attestation), right], "right"],
      ["an attestation of the right platform", [{ ...describe(attestation), ...on(native) }, right], "right"],
      ["an image without platform", [unknown, { ...right, ...on(native) }], "right"],
      ["an artifact, with its artifactType", [{ ...unknown, artifactType: "a/b" }, right], "right"],
      [
        "an attestation, with its annotation",
        [{ ...unknown, annotations: { "vnd.docker.reference.type": "x" } }, right],
        "right",
      ],
      ["an unknown media type", [{ ...unknown, mediaType: "application/x" }, right], "right"],
      [
        "an image for another architecture",
        [
          { ...unknown, ...on(other) },
          { ...right, ...on(native) },
        ],
        "right",
      ],
      ["an image for another system", [{ ...unknown, platform: { os: "windows" } }, right], "right"],
      ["another name of the architecture", [{ ...right, ...on(native === "arm64" ? "aarch64" : "x86_64") }], "right"],
      [
        "a variant that not every processor supports",
        [
          { ...unknown, ...on(native, { variant: "v9" }) },
          { ...right, ...on(native) },
        ],
        "right",
      ],
      ["only an attestation", [describe(attestation)], "Image has no layer of files."],
      ["nothing", [], `Image has no variant for linux on ${native}.`],
    ];
    for (const [what, manifests, wanted] of rows) {
      tag("beside", indexOf(...manifests));
      expect([what, await content(`${host}/beside`)]).toEqual([what, expect.stringContaining(wanted)]);
    }
  },
);

rootTest("an image without files is an error", async () => {
  const nothing: Blob = { mediaType: `${OCI}.layer.v1.tar+gzip`, bytes: gzipSync(Buffer.alloc(1024)) };
  tag("empty", imageOf("empty", "", nothing));
  const root = scratch.root();
  expect((await pull(root, `${host}/empty`)).log).toContain("Image has no files.");
  expect(existsSync(join(root, "img"))).toBe(false);
  for (const layers of [[], null]) {
    tag("empty", document(`${OCI}.manifest.v1+json`, { layers }));
    expect(await content(`${host}/empty`)).toContain("Image has no layer of files.");
  }
  const type = `${OCI}.layer.v1.tar+gzip`;
  const gone = [layerOf("x"), { mediaType: type, bytes: gzipSync(archive({ name: ".wh.name" })) }];
  publish("empty", ...gone);
  tag("empty", document(`${OCI}.manifest.v1+json`, { layers: gone.map(describe) }));
  expect(await content(`${host}/empty`)).toContain("Image has no files.");
});

rootTest("a layer of no bytes, as some builders make, is an empty one", async () => {
  for (const bytes of [Buffer.alloc(0), gzipSync(Buffer.alloc(0))]) {
    const layers = [layerOf("x"), { mediaType: `${OCI}.layer.v1.tar`, bytes }];
    publish("hollow", ...layers);
    tag("hollow", document(`${OCI}.manifest.v1+json`, { layers: layers.map(describe) }));
    expect(await content(`${host}/hollow`)).toBe("x");
  }
});

rootTest("where only the size in a manifest is wrong, the error says so", async () => {
  const layer = layerOf("sized");
  publish("sized", layer);
  const wrong = { ...describe(layer), size: layer.bytes.length + 1 };
  tag("sized", document(`${OCI}.manifest.v1+json`, { layers: [wrong] }));
  expect(await content(`${host}/sized`)).toContain(`got ${layer.bytes.length} bytes instead of ${wrong.size}`);
});

rootTest(
  "manifests with a missing type, a character set, upper case, a general type or the other family's type are read",
  async () => {
    const manifest = imageOf("typed", "typed");
    const bare = {
      ...manifest,
      bytes: Buffer.from(manifest.bytes.toString().replace(/"mediaType":"[^"]*manifest[^"]*",/, "")),
    };
    const upper = `${OCI}.manifest.v1+json; charset=utf-8`.toUpperCase();
    for (const type of [
      null,
      "application/json",
      "text/plain; charset=utf-8",
      upper,
      `${DOCKER}.distribution.manifest.v2+json`,
    ]) {
      for (const one of [manifest, bare]) {
        tag("typed", one, type === null ? {} : { "Content-Type": type });
        expect([type, await content(`${host}/typed`)]).toEqual([type, "typed"]);
      }
    }
    tag("typed", manifest, { "Content-Type": `${OCI}.index.v1+json` });
    expect(await content(`${host}/typed`)).toContain("differs from the one that the server sent");
  },
);

rootTest("Docker's schema 1 is refused, and the error names it", async () => {
  const old = Buffer.from(JSON.stringify({ schemaVersion: 1, name: "x", fsLayers: [], history: [] }));
  for (const type of [
    `${DOCKER}.distribution.manifest.v1+prettyjws`,
    `${DOCKER}.distribution.manifest.v1+json`,
    "application/json",
  ]) {
    tag("old", { bytes: old, mediaType: type });
    expect(await content(`${host}/old`)).toContain("schema 1, which is not supported");
  }
});

rootTest("layers of every known type are unpacked, and the error for another type names it", async () => {
  for (const type of [
    `${OCI}.layer.v1.tar`,
    `${OCI}.layer.v1.tar+gzip`,
    `${OCI}.layer.v1.tar+zstd`,
    `${OCI}.layer.nondistributable.v1.tar+gzip`,
    `${DOCKER}.image.rootfs.diff.tar.gzip`,
    `${DOCKER}.image.rootfs.foreign.diff.tar.gzip`,
    `${DOCKER}.image.rootfs.diff.tar`,
  ]) {
    tag("layers", imageOf("layers", type, layerOf(type, type)));
    expect(await content(`${host}/layers`)).toBe(type);
  }
  for (const type of [`${OCI}.layer.v1.tar+gzip+encrypted`, "application/vnd.sylabs.sif.layer.v1.sif"]) {
    tag("layers", imageOf("layers", type, layerOf(type, type)));
    expect(await content(`${host}/layers`)).toContain(`a layer of type '${type}', which is not supported`);
  }
});

rootTest(
  "a document that is requested by digest must have that digest; a tag beside the digest is ignored",
  async () => {
    const manifest = imageOf("digest", "digest");
    const digest = digestOf(manifest.bytes);
    expect(await content(`${host}/digest:latest@${digest}`)).toBe("digest");
    server.pages[`v2/digest/manifests/${digest}`] = { body: imageOf("digest", "other").bytes };
    expect(await content(`${host}/digest@${digest}`)).toContain("DOWNLOAD INVALID");
  },
);

rootTest(
  "documents are read when a server compresses them without being asked, sends no length, or redirects",
  async () => {
    const manifest = imageOf("packed", "packed");
    publish("moved", manifest);
    for (const status of [301, 302, 303, 307, 308]) {
      const target = `../../moved/manifests/${digestOf(manifest.bytes)}`;
      server.pages["v2/packed/manifests/latest"] = {
        answer: () => new Response(null, { status, headers: { Location: target } }),
      };
      expect(await content(`${host}/packed`)).toBe("packed");
    }
    server.pages["v2/packed/manifests/latest"] = {
      answer: () => new Response(bytesOf(gzipSync(manifest.bytes)), { headers: { "Content-Encoding": "gzip" } }),
    };
    expect(await content(`${host}/packed`)).toBe("packed");
    const bomb = gzipSync(Buffer.alloc(64 << 20));
    server.pages["v2/packed/manifests/latest"] = {
      answer: () => new Response(bytesOf(bomb), { headers: { "Content-Encoding": "gzip" } }),
    };
    expect(await content(`${host}/packed`)).toContain("File overly large, refusing.");
    const [half, rest] = [manifest.bytes.subarray(0, 100), manifest.bytes.subarray(100)];
    const stream = () =>
      new ReadableStream({
        async pull(controller) {
          controller.enqueue(bytesOf(half));
          controller.enqueue(bytesOf(rest));
          controller.close();
        },
      });
    server.pages["v2/packed/manifests/latest"] = { answer: () => new Response(stream()) };
    expect(await content(`${host}/packed`)).toBe("packed");
  },
);

rootTest("a small document may be inside its descriptor; if its digest is wrong, it is requested", async () => {
  const manifest = imageOf("inside", "inside");
  delete server.pages[`v2/inside/manifests/${digestOf(manifest.bytes)}`];
  const entry = { ...describe(manifest), ...on(native) };
  tag("inside", indexOf({ ...entry, data: manifest.bytes.toString("base64") }));
  expect(await content(`${host}/inside`)).toBe("inside");
  tag("inside", indexOf({ ...entry, data: Buffer.from("{}").toString("base64") }));
  expect(await content(`${host}/inside`)).toContain("No such image");
});

rootTest("the password of an entry is found in all notations of the entry's name", async () => {
  tag("logins", imageOf("logins", "logins"));
  guard("logins", (given) => given === `Basic ${LOGIN}`, [["WWW-Authenticate", 'Basic realm="x"']]);
  for (const [key, entry] of [
    [`https://${host}/v2/`, { auth: LOGIN }],
    [`http://${host}/v1/`, { auth: LOGIN }],
    [`${host}/`, { auth: LOGIN }],
    [`${host}/logins`, { auth: LOGIN }],
    [host, { username: "me", password: "secret" }],
  ] as const) {
    writeFileSync(join(scratch.path, "logins.json"), JSON.stringify({ auths: { other: {}, [key]: entry } }));
    const env = { REGISTRY_AUTH_FILE: join(scratch.path, "logins.json") };
    expect([key, await content(`${host}/logins`, { env })]).toEqual([key, "logins"]);
  }
});

rootTest(
  "a file of logins with values of other types is no error, and a file without a login is passed over",
  async () => {
    tag("logins", imageOf("logins", "logins"));
    guard("logins", (given) => given === `Basic ${LOGIN}`, [["WWW-Authenticate", 'Basic realm="x"']]);
    const helper = join(scratch.path, "docker-credential-silent");
    writeFileSync(helper, "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    const first = join(scratch.path, "first/containers");
    mkdirSync(first, { recursive: true });
    const env = {
      REGISTRY_AUTH_FILE: "",
      XDG_RUNTIME_DIR: join(scratch.path, "first"),
      DOCKER_CONFIG: join(scratch.path, "second"),
      PATH: `${scratch.path}:${process.env["PATH"]}`,
    };
    mkdirSync(env.DOCKER_CONFIG);
    writeFileSync(join(env.DOCKER_CONFIG, "config.json"), JSON.stringify({ auths: { [host]: { auth: LOGIN } } }));
    for (const file of [
      { auths: { [host]: { auth: 5, identitytoken: {}, username: [] } }, credsStore: 7 },
      { auths: "none", credHelpers: null },
      { credHelpers: { [host]: "silent" } },
      { credsStore: "silent" },
    ]) {
      writeFileSync(join(first, "auth.json"), JSON.stringify(file));
      expect([file, await content(`${host}/logins`, { env })]).toEqual([file, "logins"]);
    }
    const own = { credHelpers: { [host]: "" }, credsStore: "silent", auths: { [host]: { auth: LOGIN } } };
    writeFileSync(join(first, "auth.json"), JSON.stringify(own));
    rmSync(env.DOCKER_CONFIG, { recursive: true });
    expect(await content(`${host}/logins`, { env })).toBe("logins");
  },
);

rootTest("a helper that leaves a program behind, which holds its output open, is not waited for", async () => {
  tag("left", imageOf("left", "left"));
  guard("left", (given) => given === `Basic ${LOGIN}`, [["WWW-Authenticate", 'Basic realm="x"']]);
  const fifo = join(scratch.path, "left.fifo");
  Bun.spawnSync(["mkfifo", fifo]);
  const helper = join(scratch.path, "docker-credential-leaving");
  const login = JSON.stringify({ Username: "me", Secret: "secret" });
  writeFileSync(helper, `#!/bin/sh\ncat '${fifo}' &\necho '${login}'\n`, { mode: 0o755 });
  const file = join(scratch.path, "leaving.json");
  writeFileSync(file, JSON.stringify({ credHelpers: { [host]: "leaving" } }));
  const env = { REGISTRY_AUTH_FILE: file, PATH: `${scratch.path}:${process.env["PATH"]}` };
  expect(await content(`${host}/left`, { env })).toBe("left");
  // The program ends when the fifo, which it waits for, is closed.
  writeFileSync(fifo, "");
});

rootTest("layers at other URLs are downloaded and their digest checked, and no login is sent there", async () => {
  const elsewhere = new FaultyServer();
  const type = `${DOCKER}.image.rootfs.foreign.diff.tar.gzip`;
  const layer = layerOf("foreign", type);
  const run = async (urls: unknown, options: { inRegistry?: boolean; mediaType?: string } = {}) => {
    const config: Blob = { mediaType: `${OCI}.config.v1+json`, bytes: Buffer.from("{}") };
    const entry = { ...describe(layer), mediaType: options.mediaType ?? type, urls };
    const manifest = document(`${OCI}.manifest.v1+json`, { config: describe(config), layers: [entry] });
    publish("urls", config);
    tag("urls", manifest);
    delete server.pages[`v2/urls/blobs/${digestOf(layer.bytes)}`];
    if (options.inRegistry) publish("urls", layer);
    guard("urls", (given) => given === `Basic ${LOGIN}`, [["WWW-Authenticate", 'Basic realm="x"']]);
    return content(`${host}/urls`, withLogin);
  };
  elsewhere.pages["layer"] = { body: layer.bytes };
  elsewhere.pages["wrong"] = { body: layerOf("evil").bytes };
  elsewhere.pages["away"] = { answer: () => Response.redirect(elsewhere.url("layer"), 307) };
  elsewhere.pages["file"] = {
    answer: () => new Response(null, { status: 302, headers: { Location: "file:///etc/passwd" } }),
  };
  elsewhere.pages["loop"] = { answer: () => Response.redirect(elsewhere.url("loop"), 302) };
  elsewhere.pages["secret"] = {
    answer: () => new Response("", { status: 401, headers: { "WWW-Authenticate": 'Basic realm="x"' } }),
  };
  expect(await run([elsewhere.url("layer")])).toBe("foreign");
  expect(await run([elsewhere.url("away")])).toBe("foreign");
  expect(await run([elsewhere.url("nothing"), elsewhere.url("layer")])).toBe("foreign");
  expect(await run([elsewhere.url("wrong"), elsewhere.url("layer")])).toBe("foreign");
  expect(await run([elsewhere.url("layer")], { mediaType: `${OCI}.layer.v1.tar+gzip` })).toBe("foreign");
  const before = elsewhere.requests.length;
  expect(await run([elsewhere.url("nothing")], { inRegistry: true })).toBe("foreign");
  expect(await run([elsewhere.url("layer")], { inRegistry: true, mediaType: `${OCI}.layer.v1.tar+gzip` })).toBe(
    "foreign",
  );
  expect(elsewhere.requests.length).toBe(before + 1);
  expect(await run([elsewhere.url("layer").replace("http://", "http://user:pass@")])).toBe("foreign");
  for (const url of ["wrong", "file", "loop", "secret"]) expect(await run([elsewhere.url(url)])).toContain("Exiting.");
  for (const url of ["file:///etc/passwd", "ftp://x/y", "/etc/passwd", "", 5]) {
    expect(await run([url])).toMatch(/Exiting\./);
  }
  expect(elsewhere.requests.map(({ headers }) => headers.get("authorization"))).toEqual(
    elsewhere.requests.map(() => null),
  );
});

rootTest("a layer is fetched again where another server, with a tag of its own, does not go on with it", async () => {
  // More than the buffers of a connection: some of it is received before the connection ends.
  const bytes = archive({ name: "name", data: "nodes" }, { name: "large", data: randomBytes(20 << 20) });
  const manifest = document(`${OCI}.manifest.v1+json`, {
    layers: [describe({ mediaType: `${OCI}.layer.v1.tar`, bytes })],
  });
  const nodes = new RawServer(({ path, from, count }) => {
    if (path.includes("/manifests/")) {
      const head = ["200 OK", `Content-Length: ${manifest.bytes.length}`, `Content-Type: ${manifest.mediaType}`];
      return { head, body: manifest.bytes };
    }
    const range = `Content-Range: bytes ${from}-${bytes.length - 1}/${bytes.length}`;
    const head = [from > 0 ? "206 Partial Content" : "200 OK", ...(from > 0 ? [range] : []), `ETag: "${count}"`];
    const body = bytes.subarray(from, count === 1 ? 16 << 20 : bytes.length);
    return { head: [...head, `Content-Length: ${bytes.length - from}`], body };
  });
  const name = new URL(nodes.url("")).host;
  writeFileSync(join(rules, `registry.${encodeURIComponent(name)}.oci-registry`), '{"defaultProtocol":"http"}');
  const root = scratch.root();
  const { code, log } = await pull(root, `${name}/nodes`);
  expect([code, log]).toEqual([0, expect.stringContaining("has changed, starting again")]);
  expect(readFileSync(join(root, "img/name"), "utf8")).toBe("nodes");
  expect(nodes.requests.filter(({ path }) => path.includes("/blobs/")).map(({ from }) => from > 0)).toEqual([
    false,
    true,
    false,
  ]);
});

rootTest("a second image that shares a layer waits for the layer, and does not download it again", async () => {
  const root = scratch.root();
  const layer = layerOf("shared");
  tag("shared", imageOf("shared", "shared", layer));
  const blob = `v2/shared/blobs/${digestOf(layer.bytes)}`;
  const [asked, released] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  server.pages[blob] = {
    answer: async () => {
      asked.resolve();
      await released.promise;
      return new Response(bytesOf(layer.bytes));
    },
  };
  const env = { MACHINED_OCI_REGISTRIES: rules, MACHINED_OCI_STACK: "no", REGISTRY_AUTH_FILE: "/nonexistent" };
  const start = (name: string) =>
    startWorker("systemd-pull", ["oci", `--image-root=${root}`, `${host}/shared`, name], env);
  const first = start("first");
  await asked.promise;
  const second = start("second");
  let log = "";
  const decoder = new TextDecoder();
  for await (const chunk of second.stderr) {
    log += decoder.decode(chunk);
    if (log.includes("waiting for it")) released.resolve();
  }
  expect([await first.exited, await second.exited, log]).toEqual([0, 0, expect.stringContaining("waiting for it")]);
  for (const name of ["first", "second"]) expect(readFileSync(join(root, name, "name"), "utf8")).toBe("shared");
  expect(server.asked(blob).length).toBe(1);
  expect(entries(root).filter((name) => name.startsWith(".#"))).toEqual([]);
});

rootTest("a layout with an index in its index, as from a copy of all platforms, is pulled", async () => {
  const folder = join(scratch.path, "layout");
  mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
  const manifest = imageOf("layout", "layout");
  const inner = indexOf({ ...describe(manifest), ...on(native) });
  publish("layout", inner);
  for (const [path, page] of Object.entries(server.pages)) {
    const name = /^v2\/layout\/blobs\/sha256:(\w+)$/.exec(path)?.[1];
    if (name !== undefined) writeFileSync(join(folder, "blobs/sha256", name), page.body as Buffer);
  }
  writeFileSync(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  const annotations = { "org.opencontainers.image.ref.name": "v1" };
  writeFileSync(
    join(folder, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...describe(inner), annotations }] }),
  );
  expect(await content(`oci:${folder}:v1`)).toBe("layout");
});
