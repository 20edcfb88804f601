// Layers that depend on the layers below them, unpacked as one tree and as a stack, compared with the result of
// umoci(1) for the same image and, for stacks, with the kernel's overlayfs.
import { expect, setDefaultTimeout } from "bun:test";
import { createHash } from "node:crypto";
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { rootTest } from "../kernel/support.ts";
import { describeTree, run } from "../kernel/tree-support.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { archive, type BuiltMember } from "../unit/worker/archive-builder.ts";
import { entries, runWorker, Scratch } from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

const scratch = new Scratch();
const hasUmoci = havePrograms("the comparison of layers with umoci", "umoci");

type Layers = readonly (readonly BuiltMember[])[];

const OCI = "application/vnd.oci.image";
let count = 0;

/** Makes an image layout with these layers; returns the path of its folder. */
function layout(layers: Layers): string {
  const folder = join(scratch.path, `layout${count++}`);
  mkdirSync(join(folder, "blobs/sha256"), { recursive: true });
  const put = (bytes: Buffer, mediaType: string) => {
    const hash = createHash("sha256").update(bytes).digest("hex");
    writeFileSync(join(folder, "blobs/sha256", hash), bytes);
    return { mediaType, digest: `sha256:${hash}`, size: bytes.length };
  };
  const plain = layers.map((members) => archive(...members));
  const diffs = plain.map((bytes) => `sha256:${createHash("sha256").update(bytes).digest("hex")}`);
  const config = { architecture: "amd64", os: "linux", config: {}, rootfs: { type: "layers", diff_ids: diffs } };
  const manifest = {
    schemaVersion: 2,
    mediaType: `${OCI}.manifest.v1+json`,
    config: put(Buffer.from(JSON.stringify(config)), `${OCI}.config.v1+json`),
    layers: plain.map((bytes) => put(gzipSync(bytes), `${OCI}.layer.v1.tar+gzip`)),
  };
  const listed = {
    ...put(Buffer.from(JSON.stringify(manifest)), manifest.mediaType),
    annotations: { "org.opencontainers.image.ref.name": "v1" },
    platform: { architecture: "amd64", os: "linux" },
  };
  writeFileSync(join(folder, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
  writeFileSync(join(folder, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [listed] }));
  return folder;
}

async function pulled(folder: string, how: "tree" | "stack"): Promise<{ root: string; log: string; code: number }> {
  const root = scratch.root();
  const args = ["oci", `--image-root=${root}`, "--architecture=amd64", `oci:${folder}:v1`, "m"];
  const { code, log } = await runWorker("systemd-pull", args, { MACHINED_OCI_STACK: how === "stack" ? "yes" : "no" });
  return { root, log, code };
}

/** The lines of a tree, without the times of directories that no archive names, and of the top. */
function described(top: string): string[] {
  const lines = describeTree(top).trim().split("\n");
  return lines.map((line) => line.replace(/(, '0o4\d+', \d+, \d+), \d+/, "$1"));
}

/** Calls `look` with the overlayfs mount of a stack. */
function mounted(stack: string, look: (top: string) => void): void {
  const layers = readdirSync(stack).filter((name) => name.startsWith("layer@"));
  layers.sort((a, b) => Number(b.slice(6)) - Number(a.slice(6)));
  if (layers.length === 1) {
    look(join(stack, layers[0] as string));
    return;
  }
  const mount = join(scratch.path, `mount${count++}`);
  mkdirSync(mount);
  // Digests contain colons, which separate the directories in the mount option.
  const lower = layers.map((name) => join(stack, name).replaceAll(":", "\\:")).join(":");
  run("mount", "-t", "overlay", "overlay", "-o", `lowerdir=${lower}`, mount);
  try {
    look(mount);
  } finally {
    run("umount", "-l", mount);
  }
}

const BASE: readonly BuiltMember[] = [
  { name: "./", type: "5", mode: 0o755 },
  { name: "tmp/", type: "5", mode: 0o1777 },
  { name: "root/", type: "5", mode: 0o700 },
  { name: "root/.profile", data: "p" },
  { name: "srv/", type: "5", mode: 0o750, uid: 1000, gid: 1000 },
  { name: "srv/data", data: "d", uid: 1000, gid: 1000 },
  { name: "usr/", type: "5", mode: 0o755 },
  { name: "usr/lib/", type: "5", mode: 0o755 },
  { name: "usr/lib/libc.so", data: "libc" },
  { name: "lib", type: "2", target: "usr/lib" },
  { name: "away", type: "2", target: "/usr/lib/../lib" },
  { name: "opaque/", type: "5", mode: 0o711, uid: 5 },
  { name: "opaque/old", data: "hidden" },
  { name: "dir/", type: "5", mode: 0o755 },
  { name: "dir/gone", data: "x" },
  { name: "dir/stays", data: "y" },
  { name: "fifo", type: "6", mode: 0o622 },
];

const ADDED: readonly BuiltMember[] = [
  { name: "opt/", type: "5", mode: 0o755 },
  { name: "opt/file", data: "f" },
  { name: ".wh.away" },
];

interface LayerCase {
  readonly layers: Layers;
  readonly look: (top: string) => void;
  readonly isStack?: boolean;
  /** Why the tree is not compared with that of umoci. */
  readonly differs?: string;
}

const CASES: Readonly<Record<string, LayerCase>> = {
  "directories that a layer only implies keep the metadata of the layer below": {
    layers: [
      BASE,
      [
        { name: "tmp/new", data: "x" },
        { name: "root/new", data: "x" },
        { name: "srv/sub/new", data: "x" },
      ],
    ],
    look: (top) => {
      expect(lstatSync(join(top, "tmp")).mode & 0o7777).toBe(0o1777);
      expect(lstatSync(join(top, "root")).mode & 0o7777).toBe(0o700);
      expect([lstatSync(join(top, "srv")).uid, lstatSync(join(top, "srv/sub")).mode & 0o7777]).toEqual([1000, 0o755]);
    },
  },
  "an upper layer changes the owner of a directory back to root": {
    layers: [BASE, [{ name: "srv/", type: "5", mode: 0o755 }]],
    look: (top) => {
      const { uid, gid, mode } = lstatSync(join(top, "srv"));
      expect([uid, gid, mode & 0o7777]).toEqual([0, 0, 0o755]);
      expect(readFileSync(join(top, "srv/data"), "utf8")).toBe("d");
    },
    isStack: true,
  },
  "a hard link to a file of a layer below": {
    layers: [
      BASE,
      [
        { name: "root/", type: "5", mode: 0o700 },
        { name: "root/libc", type: "1", target: "usr/lib/libc.so" },
      ],
    ],
    look: (top) => {
      expect(statSync(join(top, "root/libc")).ino).toBe(statSync(join(top, "usr/lib/libc.so")).ino);
    },
  },
  "a file below a link of a lower layer is written to the link's target": {
    layers: [
      BASE,
      [
        { name: "lib/extra.so", data: "extra" },
        { name: "away/more.so", data: "more" },
      ],
    ],
    look: (top) => {
      expect(lstatSync(join(top, "lib")).isSymbolicLink()).toBe(true);
      expect(readdirSync(join(top, "usr/lib")).sort()).toEqual(["extra.so", "libc.so", "more.so"]);
    },
  },
  "a directory in place of a link replaces it": {
    layers: [
      BASE,
      [
        { name: "lib/", type: "5", mode: 0o755 },
        { name: "lib/own.so", data: "own" },
      ],
    ],
    look: (top) => {
      expect(readdirSync(join(top, "lib"))).toEqual(["own.so"]);
      expect(readdirSync(join(top, "usr/lib"))).toEqual(["libc.so"]);
    },
    isStack: true,
  },
  "plain and opaque whiteouts": {
    layers: [
      BASE,
      [
        { name: "dir/", type: "5", mode: 0o755 },
        { name: "dir/.wh.gone" },
        { name: "opaque/", type: "5", mode: 0o711, uid: 5 },
        { name: "opaque/.wh..wh..opq" },
        { name: "opaque/new", data: "n" },
        { name: ".wh.away" },
      ],
    ],
    look: (top) => {
      expect(readdirSync(join(top, "dir"))).toEqual(["stays"]);
      expect(readdirSync(join(top, "opaque"))).toEqual(["new"]);
      expect(existsSync(join(top, "away"))).toBe(false);
      expect(lstatSync(join(top, "fifo")).isFIFO()).toBe(true);
    },
    isStack: true,
  },
  "an opaque directory that a layer only implies keeps the metadata of the layer below": {
    layers: [BASE, [{ name: "opaque/.wh..wh..opq" }, { name: "opaque/new", data: "n" }]],
    look: (top) => {
      expect(readdirSync(join(top, "opaque"))).toEqual(["new"]);
      expect([lstatSync(join(top, "opaque")).uid, lstatSync(join(top, "opaque")).mode & 0o7777]).toEqual([5, 0o711]);
    },
  },
  "a directory that a layer removes, and makes again only by a member in it, is a new one": {
    layers: [
      BASE,
      [{ name: ".wh.lib" }, { name: "lib/new", data: "n" }, { name: ".wh.opaque" }, { name: "opaque/new", data: "n" }],
    ],
    look: (top) => {
      expect([lstatSync(join(top, "lib")).isDirectory(), readdirSync(join(top, "lib"))]).toEqual([true, ["new"]]);
      expect(readdirSync(join(top, "usr/lib"))).toEqual(["libc.so"]);
      expect([lstatSync(join(top, "opaque")).uid, lstatSync(join(top, "opaque")).mode & 0o7777]).toEqual([0, 0o755]);
      expect(readdirSync(join(top, "opaque"))).toEqual(["new"]);
    },
    isStack: true,
  },
  "a link in place of a directory leaves the properties of what it leads to": {
    layers: [
      [
        { name: "real/", type: "5", mode: 0o755 },
        { name: "real/sub/", type: "5", mode: 0o750, uid: 7 },
        { name: "was/", type: "5", mode: 0o755 },
        { name: "was/sub/", type: "5", mode: 0o700 },
      ],
      [{ name: "was", type: "2", target: "real" }],
    ],
    look: (top) => {
      const { uid, mode } = lstatSync(join(top, "real/sub"));
      expect([uid, mode & 0o7777, lstatSync(join(top, "was")).isSymbolicLink()]).toEqual([7, 0o750, true]);
    },
    isStack: true,
  },
  "files that a layer writes through a link of a layer below stay where the layer removes others there": {
    layers: [
      [...BASE, { name: "also", type: "2", target: "dir" }],
      [
        { name: "usr/lib/.wh.libc.so" },
        { name: "lib/libc.so", data: "new" },
        { name: "dir/.wh..wh..opq" },
        { name: "also/new", data: "n" },
      ],
    ],
    look: (top) => {
      expect(readFileSync(join(top, "usr/lib/libc.so"), "utf8")).toBe("new");
      expect(readdirSync(join(top, "dir"))).toEqual(["new"]);
      expect(["lib", "also"].map((name) => lstatSync(join(top, name)).isSymbolicLink())).toEqual([true, true]);
    },
  },
  "hard links to files that the layer writes through a link of a layer below": {
    layers: [
      [...BASE, { name: "usr/bin/", type: "5", mode: 0o755 }, { name: "bin", type: "2", target: "usr/bin" }],
      [
        { name: "bin/gunzip", data: "g" },
        { name: "bin/uncompress", type: "1", target: "bin/gunzip" },
        { name: "bin/z", data: "z" },
        { name: "bin/a", type: "1", target: "usr/bin/z" },
        { name: "bin/b", type: "1", target: "bin/a" },
        { name: "lib/libc.so.6", type: "1", target: "usr/lib/libc.so" },
        { name: "usr/lib/also", type: "1", target: "lib/libc.so" },
        { name: "usr/bin/y", data: "y" },
        { name: "bin/x", type: "1", target: "bin/y" },
      ],
    ],
    look: (top) => {
      expect(lstatSync(join(top, "bin")).isSymbolicLink()).toBe(true);
      const inode = (name: string) => statSync(join(top, name)).ino;
      expect(inode("usr/bin/uncompress")).toBe(inode("usr/bin/gunzip"));
      expect([inode("usr/bin/a"), inode("usr/bin/b")]).toEqual([inode("usr/bin/z"), inode("usr/bin/z")]);
      expect([inode("usr/lib/libc.so.6"), inode("usr/lib/also")]).toEqual([
        inode("usr/lib/libc.so"),
        inode("usr/lib/libc.so"),
      ]);
      expect(inode("usr/bin/x")).toBe(inode("usr/bin/y"));
      expect(readFileSync(join(top, "bin/a"), "utf8")).toBe("z");
    },
  },
  "whiteouts in a directory that the same layer removes": {
    layers: [
      [
        ...["d/", "d/a/", "e/", "e/a/", "e/a/c/", "g/"].map((name) => ({ name, type: "5", mode: 0o755 })),
        ...["d/a/b", "d/stays", "e/a/b", "e/a/c/x", "e/stays", "g/a"].map((name) => ({ name, data: "x" })),
      ],
      [
        { name: "d/a/.wh.b" },
        { name: "d/.wh.a" },
        { name: "e/a/c/.wh..wh..opq" },
        { name: "e/a/.wh..wh..opq" },
        { name: "e/.wh.a" },
        { name: "g/sub/.wh.b" },
        { name: "g/.wh.sub" },
        { name: "g/sub/file", data: "f" },
      ],
    ],
    look: (top) => {
      expect(["d", "e", "g", "g/sub"].map((name) => readdirSync(join(top, name)).sort())).toEqual([
        ["stays"],
        ["stays"],
        ["a", "sub"],
        ["file"],
      ]);
    },
    isStack: true,
  },
  "whiteouts below a regular file of a layer below leave it": {
    layers: [
      [
        { name: "b", data: "b" },
        { name: "c", data: "c" },
        { name: "d", data: "d" },
      ],
      [{ name: "b/.wh.a" }, { name: "c/sub/.wh.a" }, { name: "d/.wh..wh..opq" }],
    ],
    look: (top) => {
      expect(["b", "c", "d"].map((name) => readFileSync(join(top, name), "utf8"))).toEqual(["b", "c", "d"]);
    },
    differs: "umoci ends with an error for two of them",
  },
  "metadata of AUFS": {
    layers: [
      BASE,
      [
        { name: ".wh..wh.aufs", mode: 0o444 },
        { name: ".wh..wh.orph/", type: "5", mode: 0o700 },
        { name: ".wh..wh.orph/x", data: "x" },
        { name: ".wh..wh.plnk/", type: "5", mode: 0o700 },
        { name: ".wh..wh.plnk/12.34", data: "linked" },
        { name: "dir/", type: "5", mode: 0o755 },
        { name: "dir/one", type: "1", target: ".wh..wh.plnk/12.34" },
        { name: "dir/two", type: "1", target: "./.wh..wh.plnk/12.34" },
        { name: "dir/.wh..wh.other", data: "x" },
      ],
    ],
    look: (top) => {
      expect(readdirSync(top).filter((name) => name.startsWith(".wh."))).toEqual([]);
      expect(readdirSync(join(top, "dir")).sort()).toEqual(["gone", "one", "stays", "two"]);
      expect(readFileSync(join(top, "dir/one"), "utf8")).toBe("linked");
      expect(statSync(join(top, "dir/one")).ino).toBe(statSync(join(top, "dir/two")).ino);
    },
    isStack: true,
    differs: "umoci refuses these links",
  },
  "an opaque whiteout at the top hides all layers below": {
    layers: [
      BASE,
      [{ name: "./.wh..wh..opq" }, { name: "dir/", type: "5", mode: 0o755 }, { name: "dir/new", data: "n" }],
      [{ name: "other", data: "o" }],
    ],
    look: (top) =>
      expect([readdirSync(top).sort(), readdirSync(join(top, "dir"))]).toEqual([["dir", "other"], ["new"]]),
    isStack: true,
  },
  "a layer that the image has several times": {
    layers: [BASE, [], ADDED, [{ name: "dir/", type: "5", mode: 0o755 }, { name: "dir/.wh.gone" }], [], ADDED, []],
    look: (top) => {
      expect(readdirSync(join(top, "opt"))).toEqual(["file"]);
      expect(existsSync(join(top, "away"))).toBe(false);
      expect(readdirSync(join(top, "dir"))).toEqual(["stays"]);
    },
    isStack: true,
  },
  "whiteouts in a directory that is in no layer below": {
    layers: [
      BASE,
      [
        { name: "fresh/", type: "5", mode: 0o755 },
        { name: "fresh/.wh.nothing" },
        { name: "fresh/deep/", type: "5", mode: 0o755 },
        { name: "fresh/deep/.wh.nothing" },
      ],
    ],
    look: (top) =>
      expect([readdirSync(join(top, "fresh")), readdirSync(join(top, "fresh/deep"))]).toEqual([["deep"], []]),
  },
  "whiteouts in an opaque directory": {
    layers: [
      BASE,
      [
        { name: "opaque/", type: "5", mode: 0o711, uid: 5 },
        { name: "opaque/.wh.old" },
        { name: "opaque/.wh..wh..opq" },
        { name: "opaque/new", data: "n" },
      ],
    ],
    look: (top) => expect(readdirSync(join(top, "opaque"))).toEqual(["new"]),
  },
  "whiteouts in a directory that a layer between has hidden": {
    layers: [
      [
        { name: "a/", type: "5", mode: 0o755 },
        { name: "a/b/", type: "5", mode: 0o755 },
        { name: "a/b/c", data: "c" },
      ],
      [{ name: "a/", type: "5", mode: 0o755 }, { name: "a/.wh..wh..opq" }],
      [{ name: "a/", type: "5", mode: 0o755 }, { name: "a/b/", type: "5", mode: 0o755 }, { name: "a/b/.wh.c" }],
    ],
    look: (top) => expect(readdirSync(join(top, "a/b"))).toEqual([]),
  },
  "attributes of a directory are replaced by those of a later layer": {
    layers: [
      [
        { name: "d/", type: "5", mode: 0o755, pax: { "SCHILY.xattr.user.old": "1" } },
        { name: "d/f", data: "x" },
      ],
      [{ name: "d/", type: "5", mode: 0o755, pax: { "SCHILY.xattr.user.new": "2" } }],
    ],
    look: (top) => expect(described(join(top, "d"))[0]).toContain("[('user.new', b'2')]"),
    isStack: true,
  },
};

for (const [name, { layers, look, isStack = false, differs }] of Object.entries(CASES)) {
  rootTest(`${name}: one tree`, async () => {
    const folder = layout(layers);
    const { root, log, code } = await pulled(folder, "tree");
    expect([code, log]).toEqual([0, expect.stringContaining("Created new local image 'm'.")]);
    look(join(root, "m"));
    if (!hasUmoci || differs !== undefined) return;
    const bundle = join(scratch.path, `bundle${count++}`);
    run("umoci", "unpack", "--image", `${folder}:v1`, bundle);
    expect(described(join(root, "m")).slice(1)).toEqual(described(join(bundle, "rootfs")).slice(1));
  });

  rootTest(`${name}: a stack`, async () => {
    const folder = layout(layers);
    const [stack, tree] = await Promise.all([pulled(folder, "stack"), pulled(folder, "tree")]);
    expect([stack.code, stack.log]).toEqual([0, expect.stringContaining("Created new local image 'm'.")]);
    const path = join(stack.root, "m.mstack");
    expect(lstatSync(join(path, "layer@0")).isSymbolicLink()).toBe(isStack);
    mounted(path, (shown) => {
      look(shown);
      // An overlayfs that root mounted shows the attribute that is read when a user mounts it.
      const lines = described(shown).map((line) => line.replace("[('user.overlay.opaque', b'y')]", "[]"));
      expect(lines).toEqual(described(join(tree.root, "m")));
    });
  });
}

rootTest("a hard link to a file that no layer has is refused, and no files are left", async () => {
  const folder = layout([BASE, [{ name: "root/x", type: "1", target: "no/such" }]]);
  for (const how of ["tree", "stack"] as const) {
    const { root, log, code } = await pulled(folder, how);
    expect([code, log]).toEqual([1, expect.stringContaining("links './root/x' to 'no/such', which it does not have")]);
    expect(entries(root).filter((name) => !name.startsWith(".oci-"))).toEqual([]);
  }
});

const LINK: BuiltMember = { name: "link", type: "1", target: "dir/gone" };
for (const [what, members, reason] of [
  [
    "is then replaced",
    [LINK, { name: "dir/gone", data: "new" }],
    "links to 'dir/gone' of a layer below and replaces it",
  ],
  ["is then removed", [LINK, { name: "dir/.wh.gone" }], "links to 'dir/gone' of a layer below and replaces it"],
  [
    "is then removed with its directory",
    [LINK, { name: ".wh.dir" }],
    "links to 'dir' of a layer below and replaces it",
  ],
  ["is then hidden", [LINK, { name: "dir/.wh..wh..opq" }], "links to 'dir' of a layer below and replaces it"],
  [
    "was removed by the same layer",
    [{ name: "dir/.wh.gone" }, LINK],
    "links 'link' to 'dir/gone', which it does not have",
  ],
] as const) {
  rootTest(
    `a hard link to a file of a layer below that ${what} is refused, and the file gets no other content`,
    async () => {
      const folder = layout([BASE, members]);
      for (const how of ["tree", "stack"] as const) {
        const { root, log, code } = await pulled(folder, how);
        expect([code, log]).toEqual([1, expect.stringContaining(reason)]);
        expect(entries(root).filter((name) => !name.startsWith(".oci-"))).toEqual([]);
      }
    },
  );
}

rootTest("without privileges, whiteouts, links to layers below, and read-only directories work", async () => {
  const nobody = { uid: 65534, gid: 65534 };
  const folder = layout([
    [
      { name: "./", type: "5", mode: 0o755, ...nobody },
      { name: "a/", type: "5", mode: 0o555, ...nobody },
      { name: "a/x", data: "x", ...nobody },
      { name: "a/y", data: "y", ...nobody },
    ],
    [{ name: "a/.wh.x" }, { name: "a/z", data: "z", ...nobody }, { name: "link", type: "1", target: "a/y", ...nobody }],
  ]);
  const root = scratch.root();
  mkdirSync(root, { recursive: true });
  chownSync(root, nobody.uid, nobody.gid);
  chmodSync(scratch.path, 0o755);
  const program = [process.execPath, join(import.meta.dir, "../../src/main.ts"), "systemd-pull"];
  const command = [
    ...program,
    "oci",
    "--user",
    `--image-root=${root}`,
    "--architecture=amd64",
    `oci:${folder}:v1`,
    "m",
  ];
  const child = Bun.spawn(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ...command], {
    env: { PATH: process.env["PATH"] ?? "", HOME: root, MACHINED_OCI_STACK: "no" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  expect(await child.stderr.text()).toContain("Created new local image 'm'.");
  expect(await child.exited).toBe(0);
  const top = join(root, "m");
  expect([readdirSync(join(top, "a")).sort(), lstatSync(join(top, "a")).mode & 0o777]).toEqual([["y", "z"], 0o555]);
  expect(statSync(join(top, "link")).ino).toBe(statSync(join(top, "a/y")).ino);
});
