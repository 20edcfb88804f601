// Downloads a file and makes an image of it at the same time: the bytes are written to the spool, hashed, and, where
// they are compressed or an archive, unpacked into a disk image or a tree.
import { fileURLToPath } from "node:url";
import type { Fd } from "../../kernel/file/fd.ts";
import { openForeign } from "../../kernel/file/foreign-file.ts";
import { changeMode } from "../../kernel/file/ownership.ts";
import { type Fetched, fetchMain } from "../download/job.ts";
import type { JobLimits } from "../download/limits.ts";
import { ChangedError, mayGoOnLater } from "../download/retry.ts";
import { Spool } from "../download/spool.ts";
import { DirectDownload } from "../download/unbuffered.ts";
import { isFileUrl } from "../download/url.ts";
import { mayBeDisk, requireDisk } from "../image/disk-format.ts";
import { liftOsTree } from "../image/os-tree.ts";
import { convertQcow2, isQcow2 } from "../image/qcow2.ts";
import { Stage } from "../image/stage.ts";
import { unpackOptions, unpackTar } from "../image/unpack-tar.ts";
import { writeRaw } from "../image/write-raw.ts";
import { log } from "../program/log.ts";
import { type Chunks, readChunks } from "../stream/archive.ts";
import { giveBack } from "../stream/chunk-memory.ts";
import { decompress, detectCompression, MAGIC_BYTES } from "../stream/compression.ts";
import type { DirectTarget } from "./pull-direct.ts";
import { noteOrigin, type PullPlace } from "./pull-image.ts";
import { SecondTree } from "./second-tree.ts";

/** A complete download, unpacked and not verified yet. */
interface Downloaded {
  /** The image; null when it was written in place. */
  readonly stage: Stage | null;
  /** The spool of the received bytes, or null. It must be disposed of after the image has its name, and not before. */
  readonly spool: Spool | null;
  /** A second tree of the same content, where one was made. */
  readonly secondTree: Stage | null;
  readonly sha256: string;
  readonly etag: string | null;
}

export type DownloadResult = Downloaded | { readonly cached: string };

interface DownloadEvents {
  /** Called with the number of received bytes, and the length of the file where that is known. */
  progress(bytes: number, total: number | null): void;
}

const CHANGES = 3;
const RAW_MODE = 0o644;

/** Downloads `place.url`, unless a kept download is still valid. */
export async function download(
  place: PullPlace,
  tags: readonly string[],
  limits: JobLimits,
  events: DownloadEvents,
): Promise<DownloadResult> {
  if (isFileUrl(place.url)) return readLocalFile(place, limits, events);
  if (place.direct !== null) return inPlace(place, place.direct, { tags, limits, events });
  for (let changes = 0; ; changes++) {
    const spool = Spool.open(place.root, place.kind, place.url);
    try {
      const result = await throughSpool(place, spool, { tags, limits, events });
      if ("cached" in result) spool[Symbol.dispose]();
      return result;
    } catch (error) {
      const isChanged = error instanceof ChangedError && changes < CHANGES;
      if (!isChanged && spool.end > 0 && mayGoOnLater(error)) spool.keep();
      spool[Symbol.dispose]();
      if (!isChanged) throw error;
      log("notice", `${error.message}, starting again.`);
    }
  }
}

interface Work {
  readonly tags: readonly string[];
  readonly limits: JobLimits;
  readonly events: DownloadEvents;
}

/** Downloads to a target that is written in place, without a spool. */
async function inPlace(place: PullPlace, direct: DirectTarget, work: Work): Promise<Downloaded> {
  const download = new DirectDownload();
  const hash = new Bun.CryptoHasher("sha256");
  const fetched = follow(place.url, download, work);
  await direct.write(hashing(Buffer.alloc(0), download.chunks(), hash), work.limits.contentBytes);
  await fetched;
  return { stage: null, spool: null, secondTree: null, sha256: hash.digest("hex"), etag: null };
}

/** Starts a download. Its errors are reported to the readers of `to`, too. */
function follow(url: string, to: Spool | DirectDownload, { tags, limits, events }: Work): Promise<Fetched> {
  const fetched = fetchMain(url, to, tags, limits);
  const timer = setInterval(() => events.progress(to.end, to.origin?.size ?? null), 100);
  // The consumer starts with the first byte, so that nothing is unpacked where the kept download is still valid.
  fetched.then(() => to.complete()).catch((error: unknown) => to.fail(error));
  const followed = fetched.finally(() => clearInterval(timer));
  followed.catch(() => {}); // The readers report it.
  return followed;
}

async function throughSpool(place: PullPlace, spool: Spool, work: Work): Promise<DownloadResult> {
  if (spool.end > 0) log("info", `Found ${spool.end} bytes of an earlier download.`);
  const fetched = follow(place.url, spool, work);
  return consume(place, spool, fetched, work.limits);
}

async function consume(
  place: PullPlace,
  spool: Spool,
  fetched: Promise<Fetched>,
  limits: JobLimits,
): Promise<DownloadResult> {
  const hash = new Bun.CryptoHasher("sha256");
  const source = spool.chunks();
  const first = await source.next();
  if (first.done === true) {
    const result = await fetched;
    if (result.cached !== null) return { cached: result.cached };
  }
  const hashed = hashing(first.done === true ? null : first.value, source, hash);
  const isPlainRaw = place.kind === "raw" && (first.done === true || isPlain(first.value));
  const made = isPlainRaw ? await drained(hashed, spool) : await unpacked(hashed, place, limits);
  const result = await settled(fetched, made);
  if (result.cached !== null) {
    // The spooled bytes belong to another version.
    discard(made);
    return { cached: result.cached };
  }
  const stage = await converted(made.stage, place, spool);
  if (place.kind === "raw") noteOrigin(stage.file, place.url, result.etag, result.lastModified);
  return { stage, spool, secondTree: made.secondTree, sha256: hash.digest("hex"), etag: result.etag };
}

interface Made {
  readonly stage: Stage;
  readonly secondTree: Stage | null;
}

function discard({ stage, secondTree }: Made): void {
  stage[Symbol.dispose]();
  secondTree?.[Symbol.dispose]();
}

/** Returns the result of the download. Removes the image where it throws, because the image is incomplete. */
async function settled(fetched: Promise<Fetched>, made: Made): Promise<Fetched> {
  try {
    return await fetched;
  } catch (error) {
    discard(made);
    throw error;
  }
}

async function* hashing(
  first: Buffer | null,
  rest: AsyncIterable<Buffer>,
  hash: Bun.CryptoHasher,
): AsyncGenerator<Buffer> {
  const hashed = (chunk: Buffer) => {
    hash.update(chunk);
    return chunk;
  };
  if (first === null) return;
  if (first.length > 0) yield hashed(first);
  for await (const chunk of rest) yield hashed(chunk);
}

function isPlain(head: Buffer): boolean {
  return head.length >= MAGIC_BYTES && detectCompression(head) === "uncompressed";
}

/** Makes the spool file itself the disk image. */
async function drained(source: Chunks, spool: Spool): Promise<Made> {
  for await (const chunk of source) giveBack(chunk);
  await spool.synced();
  changeMode(spool.file, RAW_MODE);
  return { stage: spool.stage, secondTree: null };
}

async function unpacked(source: Chunks, place: PullPlace, { contentBytes }: JobLimits): Promise<Made> {
  const { root, kind, options } = place;
  if (kind === "raw") {
    const stage = await Stage.file(root, "raw", RAW_MODE).filledBy((file) =>
      writeRaw(decompress(source), { file, offset: 0, sizeMax: contentBytes, sparse: true }, contentBytes),
    );
    return { stage, secondTree: null };
  }
  let secondTree: Stage | null = null;
  const stage = await Stage.tree(root, "tar", options.btrfsSubvolume).filledBy(async (tree) => {
    secondTree = await unpackedTree(source, tree, place, contentBytes);
  });
  return { stage, secondTree };
}

/** Unpacks the archive into `tree`; returns a second tree where one was made. */
async function unpackedTree(source: Chunks, tree: Fd, place: PullPlace, limitBytes: number): Promise<Stage | null> {
  const unpack = unpackOptions(place.options);
  const secondTree = place.isCopied ? SecondTree.make(place.root, unpack) : null;
  try {
    await unpackTar(source, tree, unpack, limitBytes, secondTree?.beside);
    liftOsTree(tree);
    return (await secondTree?.finish()) ?? null;
  } catch (error) {
    secondTree?.[Symbol.dispose]();
    throw error;
  }
}

/**
 * Converts a qcow2 image to raw; returns other images unchanged. Throws as `requireDisk()` does
 * where no machine starts from it.
 */
async function converted(stage: Stage, { root, kind, options }: PullPlace, spool?: Spool): Promise<Stage> {
  if (kind !== "raw") return stage;
  const isPacked = options.convertQcow2 && isQcow2(stage.file);
  if (!isPacked && mayBeDisk(stage.file)) return stage;
  using _packed = stage === spool?.stage ? null : stage;
  requireDisk(stage.file);
  log("info", "Unpacking QCOW2 file.");
  return await Stage.file(root, "raw", RAW_MODE).filledBy((raw) => convertQcow2(stage.file, raw));
}

/** Makes an image of a file of this host, without a spool, because the file can be read again. */
async function readLocalFile(place: PullPlace, limits: JobLimits, events: DownloadEvents): Promise<Downloaded> {
  const { file, size, mtimeMs } = await openForeign(fileURLToPath(place.url), "follow");
  using _file = file;
  const hash = new Bun.CryptoHasher("sha256");
  const chunks = readChunks(file, (bytes) => events.progress(bytes, size));
  const hashed = hashing(Buffer.alloc(0), chunks, hash);
  if (place.direct !== null) {
    await place.direct.write(hashed, limits.contentBytes);
    return { stage: null, spool: null, secondTree: null, sha256: hash.digest("hex"), etag: null };
  }
  const made = await unpacked(hashed, place, limits);
  const stage = await converted(made.stage, place);
  const date = new Date(mtimeMs).toUTCString();
  if (place.kind === "raw") noteOrigin(stage.file, place.url, null, date);
  return { stage, spool: null, secondTree: made.secondTree, sha256: hash.digest("hex"), etag: null };
}
