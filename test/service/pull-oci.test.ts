// Pulls of container images from registries and from folders.
import { expect, setDefaultTimeout } from "bun:test";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, lstatSync, mkdirSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { rootTest } from "../kernel/support.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { archive, type BuiltMember } from "../unit/worker/archive-builder.ts";
import { bytesOf, entries, FaultyServer, runWorker, Scratch } from "./pull-support.ts";

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
writeFileSync(
  join(rules, "image.short.oci-registry"),
  JSON.stringify({ defaultProtocol: "http", overrideRegistry: host, shortImagePrefix: "library/" }),
);

const OCI = "application/vnd.oci.image";
const DOCKER = "application/vnd.docker";

interface Blob {
  readonly bytes: Buffer;
  readonly mediaType: string;
}

const describe = ({ bytes, mediaType }: Blob) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });

function layer(
  members: readonly BuiltMember[],
  packing: "gzip" | "zstd" | "plain" | "docker" = "gzip",
): Blob & { plain: Buffer } {
  const plain = archive(...members);
  if (packing === "plain") return { plain, bytes: plain, mediaType: `${OCI}.layer.v1.tar` };
  if (packing === "zstd") return { plain, bytes: zstdCompressSync(plain), mediaType: `${OCI}.layer.v1.tar+zstd` };
  const mediaType = packing === "docker" ? `${DOCKER}.image.rootfs.diff.tar.gzip` : `${OCI}.layer.v1.tar+gzip`;
  return { plain, bytes: gzipSync(plain), mediaType };
}

const LOWER = layer([
  { name: "etc/", type: "5", mode: 0o755 },
  { name: "etc/motd", data: "lower" },
  { name: "etc/secret", data: "deleted above" },
  { name: "opaque/old", data: "hidden above" },
  { name: "bin", type: "2", target: "usr/bin" },
  { name: "gone/x", data: "x" },
]);
const UPPER = layer(
  [
    { name: "etc/motd", data: "upper", mode: 0o640, uid: 7 },
    { name: "etc/.wh.secret" },
    { name: "opaque/.wh..wh..opq" },
    { name: "opaque/new", data: "new" },
    { name: ".wh.gone" },
    { name: "gone/y", data: "y" },
  ],
  "zstd",
);

function image(
  layers: readonly (Blob & { plain: Buffer })[],
  changes: { manifest?: object; config?: object; docker?: boolean } = {},
) {
  const config = Buffer.from(
    JSON.stringify(
      changes.config ?? {
        config: {
          Env: ["A=b c", "EVIL=x\n[Files]"],
          Entrypoint: ["/bin/sh"],
          Cmd: ["-c", 'say "hi"'],
          User: "web:www",
          WorkingDir: "/srv",
          StopSignal: "SIGINT",
        },
        rootfs: { type: "layers", diff_ids: layers.map(({ plain }) => digestOf(plain)) },
      },
    ),
  );
  const configBlob = { bytes: config, mediaType: `${OCI}.config.v1+json` };
  const mediaType = changes.docker ? `${DOCKER}.distribution.manifest.v2+json` : `${OCI}.manifest.v1+json`;
  const manifest = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType,
      config: describe(configBlob),
      layers: layers.map(describe),
      ...changes.manifest,
    }),
  );
  return { manifest: { bytes: manifest, mediaType }, blobs: [configBlob, ...layers], config };
}

type Image = ReturnType<typeof image>;

function publish(name: string, { manifest, blobs }: Image, tag = "latest"): void {
  const page = { body: manifest.bytes, headers: { "Content-Type": manifest.mediaType } };
  server.pages[`v2/${name}/manifests/${tag}`] = page;
  server.pages[`v2/${name}/manifests/${digestOf(manifest.bytes)}`] = page;
  for (const blob of blobs)
    server.pages[`v2/${name}/blobs/${digestOf(blob.bytes)}`] = { body: blob.bytes, ranges: true };
}

const pull = (
  root: string,
  reference: string,
  options: { name?: string; stack?: boolean; args?: string[]; env?: Record<string, string> } = {},
) =>
  runWorker(
    "systemd-pull",
    ["oci", `--image-root=${root}`, ...(options.args ?? []), reference, ...(options.name ? [options.name] : [])],
    {
      MACHINED_OCI_REGISTRIES: rules,
      MACHINED_OCI_STACK: options.stack ? "yes" : "no",
      ...options.env,
    },
  );

rootTest("I130, I131: an image is pulled as a stack of layers, with overlayfs's whiteouts", async () => {
  const root = scratch.root();
  const made = image([LOWER, UPPER]);
  publish("stack", made);
  const { code, log } = await pull(root, `${host}/stack`, { stack: true });
  expect(log).toContain("Created new local image 'stack'.");
  expect(code).toBe(0);
  const [lower, upper] = [LOWER, UPPER].map(({ bytes }) => `.oci-${digestOf(bytes)}`);
  expect(readlinkSync(join(root, "stack.mstack/layer@0"))).toBe(`../${lower}`);
  expect(readlinkSync(join(root, "stack.mstack/layer@1"))).toBe(`../${upper}`);
  expect(lstatSync(join(root, "stack.mstack/rw")).mode & 0o777).toBe(0o755);
  const whiteout = lstatSync(join(root, upper ?? "", "etc/secret"));
  expect([whiteout.isCharacterDevice(), whiteout.rdev]).toEqual([true, 0]);
  expect(lstatSync(join(root, upper ?? "", "gone")).isDirectory()).toBe(true);
  for (const path of ["opaque", "gone"]) {
    const { stdout } = Bun.spawnSync([
      "python3",
      "-c",
      "import os,sys; print(os.getxattr(sys.argv[1], 'trusted.overlay.opaque'))",
      join(root, upper ?? "", path),
    ]);
    expect(stdout.toString()).toBe("b'y'\n");
  }
  expect(readFileSync(join(root, "stack.nspawn"), "utf8")).toBe(
    '[Exec]\nBoot=no\nKillSignal=SIGINT\nUser=web\nWorkingDirectory=/srv\nEnvironment="A=b c"\nParameters="/bin/sh" "-c" "say "\'"\'"hi"\'"\'""\n',
  );
  expect(readFileSync(join(root, "stack.oci-config")).equals(made.config)).toBe(true);
  const readOnly = await pull(root, `${host}/stack`, { stack: true, name: "ro", args: ["--read-only"] });
  expect(readOnly.code).toBe(0);
  expect(existsSync(join(root, "ro.mstack/rw"))).toBe(false);
});

rootTest(
  "I129: where stacks are not supported, all layers make one tree; layers in the cache are not downloaded again",
  async () => {
    const root = scratch.root();
    publish("library/short", image([LOWER, UPPER]));
    const first = await pull(root, "short");
    expect(first.log).toContain("Created new local image 'short'.");
    const at = (path: string) => join(root, "short", path);
    expect(readFileSync(at("etc/motd"), "utf8")).toBe("upper");
    expect([lstatSync(at("etc/motd")).uid, lstatSync(at("etc/motd")).mode & 0o777]).toEqual([7, 0o640]);
    expect(existsSync(at("etc/secret"))).toBe(false);
    expect(existsSync(at("opaque/old"))).toBe(false);
    expect(readFileSync(at("opaque/new"), "utf8")).toBe("new");
    expect(existsSync(at("gone/x"))).toBe(false);
    expect(readFileSync(at("gone/y"), "utf8")).toBe("y");
    expect(readlinkSync(at("bin"))).toBe("usr/bin");
    const blob = `v2/library/short/blobs/${digestOf(LOWER.bytes)}`;
    expect((await pull(root, "short", { name: "again" })).code).toBe(0);
    expect(server.asked(blob).length).toBe(1);
  },
);

rootTest(
  "I126: from an index the image for linux and the host's architecture is pulled; nothing is downloaded twice",
  async () => {
    const root = scratch.root();
    const ours = image([LOWER]);
    publish("multi", ours, "unused");
    const entry = (architecture: string, digest = digestOf(ours.manifest.bytes)) => ({
      mediaType: ours.manifest.mediaType,
      digest,
      size: ours.manifest.bytes.length,
      platform: { os: "linux", architecture },
    });
    const index = (manifests: object[], more = {}) => {
      const bytes = Buffer.from(
        JSON.stringify({ schemaVersion: 2, mediaType: `${OCI}.index.v1+json`, manifests, ...more }),
      );
      server.pages["v2/multi/manifests/latest"] = { body: bytes, headers: { "Content-Type": `${OCI}.index.v1+json` } };
    };
    const native = process.arch === "arm64" ? "arm64" : "amd64";
    index([entry("unknown", `sha256:${"0".repeat(64)}`), entry(native)]);
    expect((await pull(root, `${host}/multi`, { name: "m1" })).code).toBe(0);
    index([entry("s390x")]);
    expect((await pull(root, `${host}/multi`, { name: "m2" })).log).toContain(
      `Image has no variant for linux on ${native}`,
    );
    index([{ ...entry(native), mediaType: `${OCI}.index.v1+json` }]);
    expect((await pull(root, `${host}/multi`, { name: "m3" })).log).toContain("differs from the one in the index");
    index([entry(native)], { layers: [] });
    expect((await pull(root, `${host}/multi`, { name: "m4" })).log).toContain("both an index and a manifest");
    index([{ ...entry(native), size: 5 }]);
    expect((await pull(root, `${host}/multi`, { name: "m5" })).log).toContain("DOWNLOAD INVALID");
    index([{ ...entry(native), digest: "sha256:../../../../etc/passwd" }]);
    expect((await pull(root, `${host}/multi`, { name: "m6" })).log).toContain("unknown digest");
    expect(entries(root).filter((name) => /^m[2-6]/.test(name))).toEqual([]);
  },
);

rootTest("I128: layers of wrong size, digest or content are refused, and no file stays", async () => {
  for (const kind of ["digest", "short", "long", "content"]) {
    const root = scratch.root();
    const config = kind === "content" ? { rootfs: { diff_ids: [digestOf(Buffer.from("other"))] } } : undefined;
    publish("wrong", image([LOWER], config === undefined ? {} : { config }));
    const other = layer([{ name: "etc/motd", data: "tampered" }]).bytes;
    const sent = {
      digest: other,
      short: LOWER.bytes.subarray(0, 100),
      long: Buffer.concat([LOWER.bytes, Buffer.alloc(9)]),
      content: LOWER.bytes,
    }[kind] as Buffer;
    server.pages[`v2/wrong/blobs/${digestOf(LOWER.bytes)}`] = { body: sent };
    const { code, log } = await pull(root, `${host}/wrong`, { name: "w" });
    expect([kind, code]).toEqual([kind, 1]);
    expect(log).toMatch(/DOWNLOAD INVALID|Content too large|larger than announced|damaged or truncated/);
    expect(entries(root).filter((name) => !name.endsWith(".part") && !name.endsWith(".state"))).toEqual([]);
  }
});

rootTest(
  "I132: layers that are listed twice, Docker's media types, and references with a digest or a port are accepted",
  async () => {
    const root = scratch.root();
    const docker = layer([{ name: "f", data: "docker" }], "docker");
    const made = image([docker, docker], { docker: true });
    publish("deep/er", made, "1.0");
    expect((await pull(root, `${host}/deep/er:1.0`, { name: "tag" })).code).toBe(0);
    expect((await pull(root, `${host}/deep/er@${digestOf(made.manifest.bytes)}`, { name: "digest" })).code).toBe(0);
    expect(readFileSync(join(root, "digest/f"), "utf8")).toBe("docker");
    expect(server.asked(`v2/deep/er/blobs/${digestOf(docker.bytes)}`).length).toBe(1);
  },
);

rootTest("I127, I133: tokens and passwords are sent only to the registry", async () => {
  const root = scratch.root();
  const elsewhere = new FaultyServer();
  const made = image([LOWER]);
  publish("private", made);
  const auth = join(scratch.path, "auth.json");
  writeFileSync(auth, JSON.stringify({ auths: { [host]: { auth: Buffer.from("me:secret").toString("base64") } } }));
  server.pages["token"] = {
    answer: (request) => {
      const isMe = request.headers.get("authorization") === `Basic ${Buffer.from("me:secret").toString("base64")}`;
      return isMe ? Response.json({ access_token: "tok" }) : new Response("no", { status: 403 });
    },
  };
  const guard = (path: string) => {
    const page = server.pages[path];
    server.pages[path] = {
      answer: (request) => {
        if (request.headers.get("authorization") !== "Bearer tok") {
          const challenge = `Bearer realm="${server.url("token")}",service="here",scope="repository:private:pull"`;
          return new Response("who?", { status: 401, headers: { "WWW-Authenticate": challenge } });
        }
        if (!path.includes("/blobs/")) return new Response(bytesOf(page?.body ?? ""), { headers: page?.headers ?? {} });
        elsewhere.pages["blob"] = { body: page?.body ?? "" };
        return Response.redirect(elsewhere.url("blob"), 307);
      },
    };
  };
  guard("v2/private/manifests/latest");
  for (const { bytes } of made.blobs) {
    const path = `v2/private/blobs/${digestOf(bytes)}`;
    if (bytes === LOWER.bytes) guard(path);
  }
  const { code, log } = await pull(root, `${host}/private`, { env: { REGISTRY_AUTH_FILE: auth } });
  expect(log).toContain("Created new local image 'private'.");
  expect(code).toBe(0);
  expect(elsewhere.asked("blob").map((headers) => headers.get("authorization"))).toEqual([null]);
  const anonymous = await pull(root, `${host}/private`, {
    name: "anonymous",
    env: { REGISTRY_AUTH_FILE: "/nonexistent" },
  });
  expect(anonymous.code).toBe(1);
  server.pages["v2/private/manifests/latest"] = {
    answer: () =>
      new Response("", {
        status: 401,
        headers: { "WWW-Authenticate": 'Bearer realm="http://evil.example/",service="a",scope="b"' },
      }),
  };
  expect((await pull(root, `${host}/private`, { name: "evil", env: { REGISTRY_AUTH_FILE: auth } })).log).toContain(
    "it is not https",
  );
});

rootTest("a password for a registry is read from a file or from a helper", async () => {
  const root = scratch.root();
  const made = image([LOWER]);
  publish("basic", made);
  const wanted = `Basic ${Buffer.from("me:secret").toString("base64")}`;
  for (const path of Object.keys(server.pages).filter((name) => name.startsWith("v2/basic/"))) {
    const page = server.pages[path];
    server.pages[path] = {
      answer: (request) =>
        request.headers.get("authorization") === wanted
          ? new Response(bytesOf(page?.body ?? ""), { headers: page?.headers ?? {} })
          : new Response("", { status: 401, headers: { "WWW-Authenticate": 'Basic realm="x"' } }),
    };
  }
  const helper = join(scratch.path, "docker-credential-test");
  writeFileSync(
    helper,
    `#!/bin/sh\nread host\n[ "$host" = "${host}" ] && echo '{"Username":"me","Secret":"secret"}'\n`,
  );
  chmodSync(helper, 0o755);
  const auth = join(scratch.path, "helpers.json");
  writeFileSync(auth, JSON.stringify({ credHelpers: { [host]: "test" } }));
  const env = { REGISTRY_AUTH_FILE: auth, PATH: `${scratch.path}:${process.env["PATH"]}` };
  expect((await pull(root, `${host}/basic`, { env })).code).toBe(0);
  expect(
    (await pull(root, `${host}/basic`, { name: "none", env: { REGISTRY_AUTH_FILE: "/nonexistent" } })).log,
  ).toContain("requires authentication");
  writeFileSync(helper, "#!/bin/sh\nkill -9 $$\n");
  const { code, log } = await pull(root, `${host}/basic`, { name: "killed", env });
  expect([code, log]).toEqual([1, expect.stringContaining("Credential helper 'test' was ended by SIGKILL")]);
});

rootTest("an identity token from a file or a helper is exchanged for an access token", async () => {
  const root = scratch.root();
  const made = image([LOWER]);
  publish("identity", made);
  const forms: string[] = [];
  server.pages["oauth"] = {
    answer: async (request) => {
      forms.push(`${request.method} ${await request.text()}`);
      return forms.at(-1)?.includes("refresh_token=idtok")
        ? Response.json({ access_token: "tok" })
        : new Response("no", { status: 403 });
    },
  };
  for (const path of Object.keys(server.pages).filter((name) => name.startsWith("v2/identity/"))) {
    const page = server.pages[path];
    const challenge = `Bearer realm="${server.url("oauth")}",service="here",scope="repository:identity:pull"`;
    server.pages[path] = {
      answer: (request) =>
        request.headers.get("authorization") === "Bearer tok"
          ? new Response(bytesOf(page?.body ?? ""), { headers: page?.headers ?? {} })
          : new Response("", { status: 401, headers: { "WWW-Authenticate": challenge } }),
    };
  }
  const auth = join(scratch.path, "identity.json");
  writeFileSync(auth, JSON.stringify({ auths: { [host]: { auth: "", identitytoken: "idtok" } } }));
  const { code, log } = await pull(root, `${host}/identity`, { env: { REGISTRY_AUTH_FILE: auth } });
  expect([code, log]).toEqual([0, expect.stringContaining("Created new local image 'identity'.")]);
  const wishes = "service=here&scope=repository%3Aidentity%3Apull";
  expect(forms).toEqual([`POST grant_type=refresh_token&refresh_token=idtok&client_id=machined&${wishes}`]);
  const helper = join(scratch.path, "docker-credential-identity");
  writeFileSync(helper, `#!/bin/sh\nread host\necho '{"Username":"<token>","Secret":"idtok"}'\n`);
  chmodSync(helper, 0o755);
  writeFileSync(auth, JSON.stringify({ credHelpers: { [host]: "identity" } }));
  const env = { REGISTRY_AUTH_FILE: auth, PATH: `${scratch.path}:${process.env["PATH"]}` };
  expect((await pull(root, `${host}/identity`, { name: "helper", env })).code).toBe(0);
  writeFileSync(auth, JSON.stringify({ auths: { [host]: { identitytoken: "wrong" } } }));
  expect((await pull(root, `${host}/identity`, { name: "wrong", env })).code).toBe(1);
});

rootTest("an image layout can be pulled, as a folder and as an archive", async () => {
  const root = scratch.root();
  const made = image([LOWER, UPPER]);
  const folder = join(scratch.path, "layout");
  mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
  for (const { bytes } of [...made.blobs, made.manifest])
    writeFileSync(join(folder, "blobs/sha256", digestOf(bytes).slice(7)), bytes);
  writeFileSync(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  const annotations = { "org.opencontainers.image.ref.name": "v1" };
  writeFileSync(
    join(folder, "index.json"),
    JSON.stringify({ schemaVersion: 2, manifests: [{ ...describe(made.manifest), annotations }] }),
  );
  expect((await pull(root, `oci:${folder}`, { name: "folder" })).code).toBe(0);
  expect((await pull(root, `oci:${folder}:v2`, { name: "other" })).log).toContain("No image 'v2' in the layout");
  Bun.spawnSync(["tar", "-C", folder, "-cf", join(scratch.path, "layout.tar"), "."]);
  expect((await pull(root, `oci-archive:${scratch.path}/layout.tar:v1`, { name: "archive" })).code).toBe(0);
  expect(readFileSync(join(root, "archive/etc/motd"), "utf8")).toBe("upper");
  expect(entries(root).filter((name) => name.startsWith(".#"))).toEqual([]);
});

/** Makes a layout with two images; returns a function that writes an index with these names for them. */
function layoutOfTwo(folder: string) {
  const images = { lower: image([LOWER]), upper: image([LOWER, UPPER]) };
  mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
  for (const { bytes } of Object.values(images).flatMap(({ blobs, manifest }) => [...blobs, manifest]))
    writeFileSync(join(folder, "blobs/sha256", digestOf(bytes).slice(7)), bytes);
  writeFileSync(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  return (...names: readonly (readonly [image: keyof typeof images, name: string, whole?: string])[]) => {
    const manifests = names.map(([which, name, whole]) => ({
      ...describe(images[which].manifest),
      annotations: {
        "org.opencontainers.image.ref.name": name,
        ...(whole === undefined ? {} : { "io.containerd.image.name": whole }),
      },
    }));
    writeFileSync(join(folder, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
  };
}

rootTest("of several images in a layout one is chosen by its name, which may be a whole reference", async () => {
  const root = scratch.root();
  const folder = join(scratch.path, "several:images");
  const write = layoutOfTwo(folder);
  write(["lower", "docker.io/x/lower:1.0+a"], ["upper", "v1"], ["upper", "latest"]);
  const unnamed = await pull(root, `oci:${folder}`, { name: "unnamed" });
  expect([unnamed.code, unnamed.log]).toEqual([
    1,
    expect.stringContaining(
      "The layout has several images, add ':NAME' to choose one. It has 'docker.io/x/lower:1.0+a', 'v1', 'latest'.",
    ),
  ]);
  expect((await pull(root, `oci:${folder}:docker.io/x/lower:1.0+a`, { name: "reference" })).code).toBe(0);
  expect(readFileSync(join(root, "reference/etc/motd"), "utf8")).toBe("lower");
  expect((await pull(root, `oci:${folder}:latest`, { name: "tag" })).code).toBe(0);
  expect(readFileSync(join(root, "tag/etc/motd"), "utf8")).toBe("upper");
  // Several names of one image.
  write(["upper", "v1"], ["upper", "latest"]);
  expect((await pull(root, `oci:${folder}`, { name: "one" })).code).toBe(0);
});

rootTest(
  "of images with the same tag, as Docker saves them, none is taken unless its whole name is given",
  async () => {
    const root = scratch.root();
    const folder = join(scratch.path, "saved");
    const write = layoutOfTwo(folder);
    write(["lower", "latest", "docker.io/library/lower:latest"], ["upper", "latest", "docker.io/library/upper:latest"]);
    const has = "It has 'docker.io/library/lower:latest', 'docker.io/library/upper:latest'.";
    const none = await pull(root, `oci:${folder}`, { name: "none" });
    expect([none.code, none.log]).toEqual([
      1,
      expect.stringContaining(`The layout has several images, add ':NAME' to choose one. ${has}`),
    ]);
    const tag = await pull(root, `oci:${folder}:latest`, { name: "tag" });
    expect([tag.code, tag.log]).toEqual([
      1,
      expect.stringContaining(
        `The layout has several images 'latest', give their whole name as ':NAME' to choose one. ${has}`,
      ),
    ]);
    expect((await pull(root, `oci:${folder}:docker.io/library/upper:latest`, { name: "whole" })).code).toBe(0);
    expect(readFileSync(join(root, "whole/etc/motd"), "utf8")).toBe("upper");
    // Several names of one image.
    write(["upper", "latest", "docker.io/library/upper:latest"], ["upper", "latest", "docker.io/library/same:latest"]);
    expect((await pull(root, `oci:${folder}:latest`, { name: "one" })).code).toBe(0);
  },
);

rootTest("an archive that is no layout is refused by name, and nothing of it is left", async () => {
  const root = scratch.root();
  const path = join(scratch.path, "docker.tar");
  writeFileSync(path, archive({ name: "manifest.json", data: "[]" }, { name: "repositories", data: "{}" }));
  const { code, log } = await pull(root, `oci-archive:${path}`, { name: "docker" });
  expect(code).toBe(1);
  expect(log).toContain(
    `'oci-archive:${path}' is no OCI image layout: it has no file 'oci-layout'. It is an archive of Docker`,
  );
  expect(entries(root)).toEqual([]);
});

rootTest("I125: a registry may be a folder of this host", async () => {
  const root = scratch.root();
  const made = image([LOWER, UPPER]);
  const registry = join(scratch.path, "registry/v2/app");
  mkdirSync(join(registry, "manifests"), { recursive: true });
  mkdirSync(join(registry, "blobs"));
  writeFileSync(join(registry, "manifests/1.0"), made.manifest.bytes);
  for (const { bytes } of made.blobs) writeFileSync(join(registry, "blobs", digestOf(bytes)), bytes);
  const rule = { defaultProtocol: "file", defaultRegistry: `${scratch.path}/registry`, defaultTag: "1.0" };
  writeFileSync(join(rules, "image.app.oci-registry"), JSON.stringify(rule));
  const { code, log } = await pull(root, "app");
  expect(log).toContain("Created new local image 'app'.");
  expect(code).toBe(0);
  expect(readFileSync(join(root, "app/etc/motd"), "utf8")).toBe("upper");
  expect((await pull(root, "app:2", { name: "none" })).log).toContain("No such image: file://");
});

rootTest(
  "a layer that writes through its own link, or has a whiteout for its parent directory, is refused",
  async () => {
    for (const members of [
      [{ name: "d", type: "2", target: "/etc" }, { name: "d/.wh.passwd" }],
      [
        { name: "d", type: "2", target: "/etc" },
        { name: "d/new", data: "x" },
      ],
      [{ name: ".wh..." }],
      [{ name: "a/.wh..wh..opq/../../x" }],
    ]) {
      const root = scratch.root();
      publish("hostile", image([layer(members)]));
      expect((await pull(root, `${host}/hostile`, { name: "h" })).code).toBe(1);
      expect(entries(root).filter((name) => !/\.(part|state)$/.test(name))).toEqual([]);
    }
  },
);
