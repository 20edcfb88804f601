// Converts qcow2 disk images, versions 2 and 3, to raw (QEMU's docs/interop/qcow2.rst). Such a file is hostile input:
// every table and cluster must lie inside it, and references to other files are refused (CVE-2024-4467). No part of the
// file is used twice, as in every image that a program wrote, so that the size of the file bounds the size of the
// output.

import { readSync } from "node:fs";
import { inflateRawSync, type ZlibOptions, zstdDecompressSync } from "node:zlib";
import { ErrnoError } from "../../base/error.ts";
import type { Turns } from "../../base/turns.ts";
import { type Fd, statFd } from "../../kernel/file/fd.ts";
import { type Attempt, attemptOn } from "../../kernel/file/foreign-answer.ts";
import { type Spending, transferBudget } from "../program/budget.ts";
import { workerTurns } from "../stream/archive.ts";
import { zstdFrameLength } from "../stream/compression-zstd.ts";
import { setLength } from "../untar/calls.ts";
import { writeSparse } from "./write-raw.ts";

const MAGIC = Buffer.from("514649fb", "hex");
const HEADER_BYTES = 112;
const [CLUSTER_BITS_MIN, CLUSTER_BITS_MAX] = [9, 21];
const L1_LIMIT = 32 << 20;
const SIZE_LIMIT = 2 ** 50;

function bad(what: string): ErrnoError {
  return new ErrnoError("EBADMSG", `QCOW2 image is damaged: ${what}`);
}

function unsupported(what: string): ErrnoError {
  return new ErrnoError("EOPNOTSUPP", `QCOW2 image is not supported: ${what}. "qemu-img convert -O raw" may read it.`);
}

interface Qcow2Header {
  readonly clusterBits: number;
  readonly clusterBytes: number;
  readonly size: number;
  readonly l1Entries: number;
  readonly l1Offset: number;
  readonly compression: "deflate" | "zstd";
}

/** Incompatible features by their bits. Stale refcounts ("dirty") matter to writers only. */
const DIRTY = 1n;
const COMPRESSION_TYPE = 8n;
const FEATURES: readonly (readonly [bit: bigint, what: string])[] = [
  [2n, "it is marked as corrupt"],
  [4n, "its data is in an external file"],
  [16n, "it has extended L2 entries (subclusters)"],
];
const COMPRESSIONS = ["deflate", "zstd"] as const;

function compressionOf(header: Buffer, version: number): Qcow2Header["compression"] {
  if (version !== 3) return "deflate";
  const features = header.readBigUInt64BE(72);
  for (const [bit, what] of FEATURES) if ((features & bit) !== 0n) throw unsupported(what);
  const unknown = features & ~(DIRTY | COMPRESSION_TYPE);
  if (unknown !== 0n) throw unsupported(`it has the unknown incompatible features 0x${unknown.toString(16)}`);
  const type = (features & COMPRESSION_TYPE) === 0n ? 0 : header.readUInt8(104);
  const compression = COMPRESSIONS[type];
  if (compression === undefined) throw unsupported(`its clusters have the unknown compression ${type}`);
  return compression;
}

/** Whether a file is a qcow2 image. */
export function isQcow2(file: Fd): boolean {
  return readAt(file, 0, MAGIC.length, "short").equals(MAGIC);
}

/**
 * The function that makes blocking calls on each file: it may be the caller's, on a file system that does not answer.
 */
const attempts = new WeakMap<Fd, Attempt>();

function attemptFor(file: Fd): Attempt {
  const attempt = attempts.get(file) ?? attemptOn(file);
  attempts.set(file, attempt);
  return attempt;
}

function readAt(file: Fd, offset: number, size: number, end: "whole" | "short" = "whole"): Buffer {
  const bytes = Buffer.allocUnsafe(size);
  const attempt = attemptFor(file);
  let filled = 0;
  while (filled < size) {
    const [from, at] = [filled, offset + filled];
    const count = attempt(() => readSync(file.number, bytes, from, size - from, at));
    if (count === 0) break;
    filled += count;
  }
  if (filled < size && end === "whole") throw bad("it ends too early");
  return bytes.subarray(0, filled);
}

function number64(bytes: Buffer, at: number, what: string): number {
  const value = Number(bytes.readBigUInt64BE(at));
  if (!Number.isSafeInteger(value)) throw bad(`impossible ${what}`);
  return value;
}

function readHeader(file: Fd, fileBytes: number): Qcow2Header {
  const bytes = Buffer.alloc(HEADER_BYTES);
  readAt(file, 0, HEADER_BYTES, "short").copy(bytes);
  const version = bytes.readUInt32BE(4);
  if (version !== 2 && version !== 3) throw unsupported(`version ${version}`);
  if (bytes.readBigUInt64BE(8) !== 0n || bytes.readUInt32BE(16) !== 0) throw unsupported("it has a backing file");
  if (bytes.readUInt32BE(32) !== 0) throw unsupported("it is encrypted");
  const compression = compressionOf(bytes, version);
  const clusterBits = bytes.readUInt32BE(20);
  if (clusterBits < CLUSTER_BITS_MIN || clusterBits > CLUSTER_BITS_MAX) throw bad("impossible cluster size");
  const clusterBytes = 2 ** clusterBits;
  const size = number64(bytes, 24, "size");
  if (size > SIZE_LIMIT) throw bad("impossible size");
  const l1Entries = bytes.readUInt32BE(36);
  const l1Offset = number64(bytes, 40, "table offset");
  const wanted = Math.ceil(size / (clusterBytes * (clusterBytes / 8)));
  if (l1Entries < wanted || l1Entries > L1_LIMIT) throw bad("impossible number of tables");
  if (l1Offset % clusterBytes !== 0 || l1Offset + wanted * 8 > fileBytes) throw bad("table outside the file");
  return { clusterBits, clusterBytes, size, l1Entries: wanted, l1Offset, compression };
}

const OFFSET_MASK = 0x00ff_ffff_ffff_fe00n;
const COMPRESSED = 1n << 62n;
const ZERO_CLUSTER = 1n;
const SECTOR = 512;
const L1_STEP = 4096;

/** The used parts of the file, and the size of the output. */
class Used {
  readonly #fileBytes: number;
  readonly #spending: Spending;
  #parts = 0;
  #packed = 0;

  constructor(source: number, target: Fd) {
    this.#fileBytes = source;
    this.#spending = transferBudget.part(target);
  }

  /** Marks a table or a plain cluster, which must not overlap others, as used. */
  part(bytes: number): void {
    this.#parts += bytes;
    if (this.#parts > this.#fileBytes + bytes) throw bad("parts of it are used more than once");
  }

  /**
   * Marks the compressed data of a cluster as used, which must not overlap that of others. Only its own bytes count:
   * its first and its last sector are shared with its neighbours.
   */
  packed(bytes: number): void {
    this.#packed += bytes;
    if (this.#packed > this.#fileBytes) throw bad("compressed clusters are used more than once");
  }

  wrote(bytes: number): void {
    this.#spending.wrote(bytes);
  }
}

/** Writes the content of the qcow2 image `source` into the empty file `target`; `onProgress` is called with 0 to 1. */
export async function convertQcow2(
  source: Fd,
  target: Fd,
  onProgress: (done: number) => void = () => {},
): Promise<void> {
  const fileBytes = attemptFor(source)(() => statFd(source).size);
  const header = readHeader(source, fileBytes);
  const { clusterBytes, l1Entries, l1Offset } = header;
  const turns = workerTurns();
  const used = new Used(fileBytes, target);
  setLength(target, header.size);
  for (let first = 0; first < l1Entries; first += L1_STEP) {
    const count = Math.min(L1_STEP, l1Entries - first);
    const l1 = readAt(source, l1Offset + first * 8, count * 8);
    await turns.pass();
    for (let index = 0; index < count; index++) {
      const table = Number(l1.readBigUInt64BE(index * 8) & OFFSET_MASK);
      if (table === 0) continue;
      if (table % clusterBytes !== 0 || table + clusterBytes > fileBytes) throw bad("table outside the file");
      used.part(clusterBytes);
      await convertTable(source, target, { header, fileBytes, table, index: first + index, used }, turns);
      onProgress((first + index + 1) / l1Entries);
    }
  }
}

interface TablePlace {
  readonly header: Qcow2Header;
  readonly fileBytes: number;
  readonly table: number;
  readonly index: number;
  readonly used: Used;
}

async function convertTable(source: Fd, target: Fd, place: TablePlace, turns: Turns): Promise<void> {
  const { header, table, index } = place;
  const perTable = header.clusterBytes / 8;
  // Not after each cluster only: a file may have very many tables without one.
  await turns.pass();
  const l2 = readAt(source, table, header.clusterBytes);
  for (let entry = 0; entry < perTable; entry++) {
    const position = (index * perTable + entry) * header.clusterBytes;
    if (position >= header.size) return;
    const value = l2.readBigUInt64BE(entry * 8);
    if (value === 0n) continue;
    const cluster =
      (value & COMPRESSED) !== 0n ? readCompressed(source, value, place) : readPlain(source, value, place);
    if (cluster === null) continue;
    const wanted = cluster.subarray(0, Math.min(cluster.length, header.size - position));
    place.used.wrote(writeSparse(target, wanted, position));
    await turns.pass();
  }
}

function readPlain(source: Fd, value: bigint, { header, fileBytes, used }: TablePlace): Buffer | null {
  const offset = Number(value & OFFSET_MASK);
  if ((value & ZERO_CLUSTER) !== 0n || offset === 0) return null;
  if (offset % header.clusterBytes !== 0 || offset >= fileBytes) throw bad("cluster outside the file");
  used.part(header.clusterBytes);
  // The last cluster of a file may be shorter than the others.
  return readAt(source, offset, Math.min(header.clusterBytes, fileBytes - offset));
}

function readCompressed(source: Fd, value: bigint, { header, fileBytes, used }: TablePlace): Buffer {
  const sizeBits = BigInt(header.clusterBits - 8);
  const offsetBits = 62n - sizeBits;
  const offset = Number(value & ((1n << offsetBits) - 1n));
  const sectors = Number((value >> offsetBits) & ((1n << sizeBits) - 1n)) + 1;
  const size = sectors * SECTOR - (offset % SECTOR);
  if (offset >= fileBytes) throw bad("cluster outside the file");
  const packed = readAt(source, offset, Math.min(size, fileBytes - offset));
  const { content, packedBytes } = unpack(packed, header);
  if (content.length !== header.clusterBytes) throw bad("compressed cluster of wrong size");
  used.packed(packedBytes);
  return content;
}

interface Unpacked {
  readonly content: Buffer;
  /** The length of the compressed data. */
  readonly packedBytes: number;
}

/** Unpacks a compressed cluster; the rest of its last sector belongs to another one. */
function unpack(packed: Buffer, { clusterBytes, compression }: Qcow2Header): Unpacked {
  try {
    const limit = { maxOutputLength: clusterBytes, chunkSize: clusterBytes };
    if (compression === "deflate") return inflate(packed, limit);
    const packedBytes = zstdFrameLength(packed);
    return { content: zstdDecompressSync(packed.subarray(0, packedBytes), limit), packedBytes };
  } catch (error) {
    throw new ErrnoError("EBADMSG", `QCOW2 image is damaged: bad compressed cluster (${compression})`, {
      cause: error,
    });
  }
}

function inflate(packed: Buffer, limit: ZlibOptions): Unpacked {
  // With `info`, the result is not a buffer, which its declared type does not know.
  const result: unknown = inflateRawSync(packed, { ...limit, info: true });
  const { buffer, engine } = result as { buffer: Buffer; engine: { bytesWritten: number } };
  return { content: buffer, packedBytes: engine.bytesWritten };
}
