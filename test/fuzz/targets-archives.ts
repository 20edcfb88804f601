// Targets for archives, layers and disk images, and for documents of container images.
import { statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deflateRawSync, zstdCompressSync } from "node:zlib";
import { openPath } from "../../src/kernel/file/fd.ts";
import { readPartitions } from "../../src/kernel/mount/gpt.ts";
import { requireReference } from "../../src/oci/reference.ts";
import { foreignFormat } from "../../src/worker/image/disk-format.ts";
import { convertQcow2 } from "../../src/worker/image/qcow2.ts";
import { LayerRules } from "../../src/worker/oci/layer.ts";
import { parseObject, readManifest } from "../../src/worker/oci/manifest.ts";
import { MERGE_OPTIONS, MergeTarget } from "../../src/worker/oci/merge.ts";
import { contentDigests, settingsOf } from "../../src/worker/oci/settings.ts";
import { zstdFrameLength } from "../../src/worker/stream/compression-zstd.ts";
import type { TarTarget } from "../../src/worker/tar/entry.ts";
import { tarChunks } from "../../src/worker/tar/pack.ts";
import { paxAttributes, paxNumber, paxTime, readPax } from "../../src/worker/tar/pax.ts";
import { decodeAcl, encodeAcl } from "../../src/worker/tar/pax-acl.ts";
import { TarReader } from "../../src/worker/tar/reader.ts";
import { Unpacker } from "../../src/worker/untar/unpacker.ts";
import type { Untar, UntarOptions } from "../../src/worker/untar/untar.ts";
import { archive, type BuiltMember, paxRecord, withSum } from "../unit/worker/archive-builder.ts";
import { refusing, requireKind, scratchPath, type Target, texts, withDirectory, withFile } from "./target.ts";

const ERRORS = ["ErrnoError", "SyscallError"];
const BLOCK = 512;

/**
 * Corrects the checksums of all blocks that look like tar headers; otherwise nearly all mutated inputs would be refused
 * there.
 */
function withSums(bytes: Buffer): Buffer {
  const copy = Buffer.from(bytes);
  for (let at = 0; at + BLOCK <= copy.length; at += BLOCK) {
    if (copy.toString("latin1", at + 257, at + 262) === "ustar") withSum(copy.subarray(at, at + BLOCK));
  }
  return copy;
}

const MEMBERS: readonly BuiltMember[] = [
  { name: "d/", type: "5", mode: 0o1777, uid: 7 },
  { name: "d/f", mode: 0o4755, data: "content" },
  { name: "d/h", type: "1", target: "d/f" },
  { name: "l", type: "2", target: "../x" },
  { name: "p", type: "6" },
  { name: "a/b/c/implied", data: Buffer.alloc(1500, "z") },
  { name: "x", pax: { path: "long/".repeat(30), mtime: "-1.25", uid: "3000000000" } },
  {
    name: "x",
    data: "x",
    pax: {
      "SCHILY.xattr.user.a%3Db": "value",
      "LIBARCHIVE.xattr.user.c": "dmFsdWU",
      "SCHILY.acl.access": "user::rwx,user:root:r-x,group::r-x,mask::r-x,other::---",
    },
  },
  {
    name: "s",
    data: Buffer.alloc(512, "d"),
    pax: { "GNU.sparse.size": "1048576", "GNU.sparse.map": "4096,512" },
  },
];
const LONG = archive({ name: "././@LongLink", type: "L", data: `${"n".repeat(150)}\0` }, { name: "short", data: "1" });
const LAYER: readonly BuiltMember[] = [
  { name: "d/f", data: "upper" },
  { name: "d/.wh.h" },
  { name: "a/.wh..wh..opq" },
  { name: "l/through", data: "x" },
  { name: "link", type: "1", target: "elsewhere/file" },
];

function unpack(top: string, bytes: Buffer, options: UntarOptions = {}, target?: (untar: Untar) => TarTarget): void {
  using directory = openPath(top, "directory");
  using unpacker = new Unpacker(directory, { ...options, isQuiet: true, refuseDevices: true }, target);
  for (let at = 0; at < bytes.length; at += 700) unpacker.push(bytes.subarray(at, at + 700));
  unpacker.end();
}

const asMerge = (untar: Untar) => new MergeTarget(untar);

function pax(...pairs: [string, string][]): Buffer {
  return Buffer.concat(pairs.map(([key, value]) => paxRecord(key, value)));
}

const CLUSTER = 512;

/** Returns a qcow2 image with the clusters: header, L1 table, L2 table, data, compressed data. */
function qcow2(compression: "deflate" | "zstd"): Buffer {
  const content = Buffer.alloc(CLUSTER, "ab");
  const packed = compression === "zstd" ? zstdCompressSync(content) : deflateRawSync(content, { windowBits: 12 });
  const file = Buffer.alloc(6 * CLUSTER);
  file.write("QFI\xfb", 0, "latin1");
  file.writeUInt32BE(3, 4);
  file.writeUInt32BE(9, 20);
  file.writeBigUInt64BE(BigInt(8 * CLUSTER), 24);
  file.writeUInt32BE(1, 36);
  file.writeBigUInt64BE(BigInt(CLUSTER), 40);
  if (compression === "zstd") file.writeBigUInt64BE(8n, 72);
  file.writeUInt32BE(112, 100);
  if (compression === "zstd") file.writeUInt8(1, 104);
  file.writeBigUInt64BE((1n << 63n) | BigInt(2 * CLUSTER), CLUSTER);
  file.writeBigUInt64BE((1n << 63n) | BigInt(3 * CLUSTER), 2 * CLUSTER);
  file.writeBigUInt64BE((1n << 62n) | BigInt(4 * CLUSTER), 2 * CLUSTER + 8);
  file.writeBigUInt64BE(1n, 2 * CLUSTER + 16);
  file.fill("data", 3 * CLUSTER, 4 * CLUSTER);
  packed.copy(file, 4 * CLUSTER);
  return file;
}

function gpt(): Buffer {
  const disk = Buffer.alloc(34 * BLOCK);
  const entries = disk.subarray(2 * BLOCK, 34 * BLOCK);
  Buffer.from("e3bc684fcde8b14d96e7fbcaf984b709", "hex").copy(entries);
  entries.writeBigUInt64LE(40n, 32);
  entries.writeBigUInt64LE(80n, 40);
  entries.write("root", 56, "utf16le");
  const header = disk.subarray(BLOCK, BLOCK + 92);
  header.write("EFI PART");
  header.writeUInt32LE(92, 12);
  header.writeBigUInt64LE(2n, 72);
  header.writeUInt32LE(128, 80);
  header.writeUInt32LE(128, 84);
  return withGptSums(disk);
}

function withGptSums(bytes: Buffer): Buffer {
  const disk = Buffer.from(bytes);
  if (disk.length < 2 * BLOCK) return disk;
  const header = disk.subarray(BLOCK, 2 * BLOCK);
  const [first, count, size] = [header.readBigUInt64LE(72), header.readUInt32LE(80), header.readUInt32LE(84)];
  const [from, length] = [Number(first) * BLOCK, count * size];
  if (length <= disk.length && from <= disk.length) {
    header.writeUInt32LE(Bun.hash.crc32(disk.subarray(from, from + length)), 88);
  }
  header.writeUInt32LE(0, 16);
  header.writeUInt32LE(Bun.hash.crc32(header.subarray(0, Math.min(header.readUInt32LE(12), BLOCK))), 16);
  return disk;
}

const DIGEST = `sha256:${"0123456789abcdef".repeat(4)}`;
const LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip";
const MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json";

export const ARCHIVE_TARGETS: Readonly<Record<string, Target>> = {
  tar: {
    seeds: [archive(...MEMBERS), LONG],
    run(bytes) {
      refusing(ERRORS, () => {
        let entries = 0;
        const reader = new TarReader({
          entry: ({ path, size }) => {
            entries++;
            if (path.includes("\0") || !(size >= 0)) throw new TypeError("an entry that cannot be");
            return null;
          },
        });
        reader.push(withSums(bytes));
        reader.end();
        if (entries !== reader.entries) throw new TypeError("entries that nobody heard of");
      });
    },
  },
  untar: {
    seeds: [archive(...MEMBERS), LONG],
    run(bytes) {
      withDirectory((top) => refusing(ERRORS, () => unpack(top, withSums(bytes))));
    },
  },
  layer: {
    seeds: [archive(...LAYER), archive(...MEMBERS), Buffer.concat([archive(...LAYER), archive(...LAYER)])],
    run(bytes) {
      withDirectory((top) => {
        refusing(ERRORS, () => {
          using directory = openPath(top, "directory");
          using rules = new LayerRules(directory);
          unpack(top, withSums(bytes), rules.options, rules.target);
        });
        // The result is merged over another layer.
        withDirectory((merged) => {
          refusing(ERRORS, () => {
            using directory = openPath(top, "directory");
            unpack(merged, archive(...MEMBERS), MERGE_OPTIONS, asMerge);
            unpack(merged, Buffer.concat([...tarChunks(directory)]), MERGE_OPTIONS, asMerge);
          });
        });
      });
    },
  },
  pax: {
    seeds: [
      pax(["path", "a/b"], ["mtime", "1.5"], ["SCHILY.xattr.user.x", "\0y"]),
      pax(
        ["size", "12"],
        ["LIBARCHIVE.xattr.user.%41", "QQ=="],
        ["GNU.sparse.offset", "1"],
        ["GNU.sparse.numbytes", "2"],
      ),
    ],
    run(bytes) {
      refusing(ERRORS, () => {
        const records = new Map<string, Buffer>();
        readPax(bytes, records);
        paxAttributes(records);
        for (const key of records.keys()) {
          refusing(ERRORS, () => void paxNumber(records, key));
          refusing(ERRORS, () => {
            const time = paxTime(records, key);
            if (time !== null && !(time.nanoseconds >= 0 && time.nanoseconds < 1e9)) throw new TypeError("no time");
          });
        }
      });
    },
  },
  acl: {
    seeds: texts(
      "user::rwx,user:1000:r-x,group::r-x,mask::r-x,other::---",
      "u::rw-\nu:name:r--:7 # comment\ng::r--\nm:r--\no:r--\n",
    ),
    run(bytes) {
      refusing(ERRORS, () => {
        const value = encodeAcl(bytes.toString("latin1"));
        if (value === null) return;
        const again = encodeAcl(decodeAcl(value) ?? "nothing");
        if (!again?.equals(value)) throw new TypeError("a list that is another when it is read again");
      });
      decodeAcl(bytes);
    },
  },
  qcow2: {
    seeds: [qcow2("deflate"), qcow2("zstd")],
    async run(bytes) {
      const magic = Buffer.from(bytes);
      magic.write("QFI\xfb", 0, "latin1");
      await withFile(magic, async (source) => {
        const path = join(scratchPath(), "raw");
        writeFileSync(path, "");
        using target = openPath(path, "read-write");
        await convertQcow2(source, target).catch((error: unknown) => requireKind(ERRORS, error));
        const written = statSync(path).blocks * 512;
        if (written > 1100 * magic.length + 4096) throw new TypeError(`${written} bytes of ${magic.length}`);
      });
    },
  },
  gpt: {
    seeds: [gpt()],
    run(bytes) {
      withFile(withGptSums(bytes), (disk) => {
        foreignFormat(disk);
        refusing(ERRORS, () => {
          for (const { offset, size } of readPartitions(disk) ?? []) {
            if (!Number.isSafeInteger(offset) || !Number.isSafeInteger(size) || offset < 0 || size < 0) {
              throw new TypeError("a partition that cannot be");
            }
          }
        });
      });
    },
  },
  "zstd-frame": {
    seeds: [zstdCompressSync(Buffer.alloc(3000, "abc")), zstdCompressSync(Buffer.alloc(0))],
    run(bytes) {
      refusing(ERRORS, () => {
        const length = zstdFrameLength(bytes);
        if (!(length > 0 && length <= bytes.length)) throw new TypeError("a frame that is longer than its bytes");
      });
    },
  },
  "oci-document": {
    seeds: texts(
      JSON.stringify({
        schemaVersion: 2,
        mediaType: MANIFEST_TYPE,
        config: { mediaType: "application/vnd.oci.image.config.v1+json", digest: DIGEST, size: 2 },
        layers: [{ mediaType: LAYER_TYPE, digest: DIGEST, size: 77 }],
      }),
      JSON.stringify({
        schemaVersion: 2,
        mediaType: "application/vnd.oci.image.index.v1+json",
        manifests: [
          { mediaType: MANIFEST_TYPE, digest: DIGEST, size: 7, platform: { os: "linux", architecture: "amd64" } },
          { mediaType: MANIFEST_TYPE, digest: DIGEST, size: 7, platform: { os: "linux", architecture: "arm64" } },
        ],
      }),
      JSON.stringify({
        config: {
          Env: ["A=b c"],
          Entrypoint: ["/bin/sh"],
          Cmd: ["-c", 'say "hi"'],
          User: "web:www",
          WorkingDir: "/srv",
        },
        rootfs: { type: "layers", diff_ids: [DIGEST] },
      }),
    ),
    run(bytes) {
      refusing(ERRORS, () => void readManifest({ bytes, contentType: null, namedType: null }, "amd64"));
      refusing(ERRORS, () => void readManifest({ bytes, contentType: MANIFEST_TYPE, namedType: null }, "arm64"));
      refusing(ERRORS, () => void parseObject(bytes));
      refusing(ERRORS, () => void contentDigests(bytes));
      refusing(ERRORS, () => {
        const settings = settingsOf(bytes);
        if (settings !== null && /\0|\[(?!Exec\])/.test(settings.replace(/^.*=.*$/gm, ""))) {
          throw new TypeError("settings that say something else");
        }
      });
    },
  },
  "oci-reference": {
    seeds: texts("docker.io/library/alpine:3", `localhost:5000/a/b@${DIGEST}`, "short", "[::1]:5000/x:tag"),
    run(bytes) {
      refusing(ERRORS, () => void requireReference(bytes.toString("latin1")));
    },
  },
};
