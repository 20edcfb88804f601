// The sources of a container image's parts: a registry, or a folder in the OCI image layout.

import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { onOneLine } from "../../base/text/control-characters.ts";
import { isOciDigest } from "../../base/vocabulary/oci-reference.ts";
import { isDownloadUrl } from "../../base/vocabulary/transfer.ts";
import { type Fd, openInRoot, reopen, statFd } from "../../kernel/file/fd.ts";
import { attemptOn } from "../../kernel/file/foreign-answer.ts";
import { openForeign } from "../../kernel/file/foreign-file.ts";
import { readFileIn } from "../../kernel/file/regular-file.ts";
import { unlessErrno } from "../../kernel/syscall/sys.ts";
import { type OciAddress, requireDigest } from "../../oci/reference.ts";
import { type Get, type HttpRequest, httpGet } from "../download/http.ts";
import { fetchMain } from "../download/job.ts";
import { JOB_LIMITS } from "../download/limits.ts";
import { mayGoOnLater } from "../download/retry.ts";
import { fetchSide } from "../download/small-file.ts";
import { Spool } from "../download/spool.ts";
import { isFileUrl } from "../download/url.ts";
import { type Chunks, readChunks } from "../stream/archive.ts";
import { type Descriptor, INDEX_TYPES, MANIFEST_TYPES, parseObject } from "./manifest.ts";
import type { OciRegistry } from "./registry.ts";

const DOCUMENT_LIMIT_BYTES = 4 << 20;

export interface Document {
  readonly bytes: Buffer;
  readonly contentType: string | null;
}

/** Receives the content of a blob as it arrives. */
export type Taker = (chunks: Chunks) => Promise<void>;

export interface BlobWork {
  /** The directory of the download's spool. */
  readonly root: Fd;
  readonly take: Taker;
  /** Whether another transfer has stored the same blob's content meanwhile. */
  readonly isHere: () => boolean;
}

export interface OciSource {
  /** The name for logs. */
  readonly name: string;
  /** The repository of a registry; null for a source on this host. */
  readonly repository: Pick<OciAddress, "registry" | "image"> | null;
  /** The document that the reference itself names. */
  root(): Promise<Document>;
  document(descriptor: Descriptor, kind: "manifests" | "blobs"): Promise<Document>;
  /** Passes a blob to `work.take`, unless it exists already. */
  blob(descriptor: Descriptor, work: BlobWork): Promise<void>;
}

export function registrySource(registry: OciRegistry): OciSource {
  const { address } = registry;
  const accept = [...MANIFEST_TYPES, ...INDEX_TYPES].join(", ");
  const fetchDocument = async (url: string): Promise<Document> => {
    let contentType: string | null = null;
    const limits = { ...JOB_LIMITS, sideBytes: DOCUMENT_LIMIT_BYTES };
    const get = async (to: string, request: HttpRequest) => {
      const reply = await registry.get(to, { ...request, headers: { Accept: accept } });
      contentType = reply.headers.get("content-type");
      return reply;
    };
    const bytes = await fetchSide(url, limits, get, "follow");
    if (bytes === null) throw new ErrnoError("ENOMEDIUM", `No such image: ${url}`);
    return { bytes, contentType };
  };
  return {
    name: `${address.registry}/${address.image}`,
    repository: address.protocol === "file" ? null : address,
    root: async () => {
      const document = await fetchDocument(registry.url("manifests", address.version));
      if (isOciDigest(address.version)) requireDigest(document.bytes, address.version);
      return document;
    },
    document: ({ digest }, kind) => fetchDocument(registry.url(kind, digest)),
    blob: async (descriptor, work) => {
      const url = registry.url("blobs", descriptor.digest);
      if (!url.startsWith("file:")) return await fetchBlob(url, descriptor, work, registry.get);
      using file = (await openForeign(fileURLToPath(url), "follow")).file;
      await work.take(readChunks(file));
    },
  };
}

/** Passes on a blob from the network; keeps the received part after an interruption. */
async function fetchBlob(url: string, descriptor: Descriptor, work: BlobWork, get: Get): Promise<void> {
  using spool = await Spool.openWhenFree(work.root, "oci", url, work.isHere);
  if (spool === null) return;
  const limits = { ...JOB_LIMITS, mainBytes: descriptor.size };
  const fetched = fetchMain(url, spool, [], limits, get);
  // Where the taker has failed meanwhile, the spool's file is closed.
  fetched.then(() => spool.complete()).catch((error: unknown) => spool.fail(error));
  try {
    await work.take(spool.chunks());
    await fetched;
  } catch (error) {
    if (spool.end > 0 && spool.end < descriptor.size && mayGoOnLater(error)) spool.keep();
    throw error;
  }
}

/**
 * Passes on a blob from an address in a manifest. The server is not trusted: no credentials are sent, only http and
 * https are accepted, and the digest is verified.
 */
export async function foreignBlob(url: string, descriptor: Descriptor, work: BlobWork): Promise<void> {
  const parsed = URL.canParse(url) ? new URL(url) : null;
  if (parsed === null || !isDownloadUrl(url) || isFileUrl(url)) {
    throw new ErrnoError("EPROTONOSUPPORT", `Refusing to fetch a layer from '${url}'.`);
  }
  parsed.username = "";
  parsed.password = "";
  await fetchBlob(parsed.href, descriptor, work, httpGet);
}

const LAYOUT_FILE = "oci-layout";

/** A folder in the OCI image layout; `tag` selects one of several images in it. The folder is not trusted. */
export function layoutSource(folder: Fd, name: string, tag: string | null): OciSource {
  const attempt = attemptOn(folder);
  const read = (path: string) => attempt(() => readFileIn(folder, path, DOCUMENT_LIMIT_BYTES));
  const blobPath = (digest: string) => {
    if (!isOciDigest(digest)) throw new ErrnoError("EPROTO", "Image manifest is not valid: unknown digest");
    return join("blobs/sha256", digest.slice("sha256:".length));
  };
  requireLayout(read, name);
  return {
    name,
    repository: null,
    root: async () => ({ bytes: pickTag(read("index.json"), tag), contentType: INDEX_TYPES[0] as string }),
    document: async ({ digest }) => ({ bytes: read(blobPath(digest)), contentType: null }),
    blob: async ({ digest }, { take }) => {
      using file = attempt(() => openBlob(folder, blobPath(digest), digest));
      await take(readChunks(file));
    },
  };
}

/** Throws an error that names the layout where it is none. */
function requireLayout(read: (path: string) => Buffer, name: string): void {
  try {
    parseObject(read(LAYOUT_FILE));
  } catch (error) {
    if (errnoNameOf(error) !== "ENOENT") throw error;
    const isDocker = unlessErrno(() => read("manifest.json"), null, "ENOENT") !== null;
    const advice = isDocker
      ? ' It is an archive of Docker: "skopeo copy docker-archive:FILE oci-archive:FILE" converts it.'
      : "";
    throw new ErrnoError("EBADMSG", `'${name}' is no OCI image layout: it has no file '${LAYOUT_FILE}'.${advice}`);
  }
}

function openBlob(folder: Fd, path: string, digest: string): Fd {
  using named = openInRoot(folder, path, "path");
  if (statFd(named).kind !== "regular") throw new ErrnoError("EBADMSG", `Blob ${digest} is no file`);
  return reopen(named, "read");
}

/**
 * The annotations that name an image, the fullest first: containerd and Docker write the whole reference to one of
 * their own, and only the tag, which different images may have, to the other.
 */
const NAMES = ["io.containerd.image.name", "org.opencontainers.image.ref.name"] as const;

interface IndexEntry {
  readonly digest?: unknown;
  readonly annotations?: Readonly<Record<string, unknown>>;
}

function namesOf(entry: IndexEntry | null): string[] {
  return NAMES.map((key) => entry?.annotations?.[key]).filter((name) => typeof name === "string");
}

/** Returns the index with the images of that name only. Throws where several images may be meant. */
function pickTag(index: Buffer, tag: string | null): Buffer {
  const document = parseObject(index);
  if (!Array.isArray(document["manifests"])) return index;
  const manifests = document["manifests"] as (IndexEntry | null)[];
  const wanted = tag === null ? manifests : manifests.filter((entry) => namesOf(entry).includes(tag));
  if (wanted.length === 0 && tag !== null)
    throw new ErrnoError("ENOENT", `No image '${tag}' in the layout.${listed(manifests)}`);
  requireOne(wanted, tag);
  return tag === null ? index : Buffer.from(JSON.stringify({ ...document, manifests: wanted }));
}

/** Throws where the names of an index are those of different images. One image may have several names. */
function requireOne(manifests: readonly (IndexEntry | null)[], tag: string | null): void {
  const images = new Map<string, string>();
  for (const entry of manifests) {
    const [name] = namesOf(entry);
    if (name !== undefined) images.set(name, `${images.get(name) ?? ""} ${entry?.digest}`);
  }
  if (new Set(images.values()).size < 2) return;
  const what = tag === null ? "several images, add" : `several images '${tag}', give their whole name as`;
  throw new ErrnoError("EINVAL", `The layout has ${what} ':NAME' to choose one.${listed(manifests)}`);
}

const SHOWN = 10;

function listed(manifests: readonly (IndexEntry | null)[]): string {
  const names = [...new Set(manifests.flatMap((entry) => namesOf(entry).slice(0, 1)))];
  if (names.length === 0) return "";
  const more = names.length > SHOWN ? ", …" : "";
  return ` It has ${names
    .slice(0, SHOWN)
    .map((name) => `'${onOneLine(name)}'`)
    .join(", ")}${more}.`;
}
