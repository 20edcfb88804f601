// Manifests and indexes of container images, OCI's and Docker's (the OCI image specification). They come from strangers:
// everything that is used is checked first, and a text that could be read in two ways is refused (CVE-2021-41190).
import { ErrnoError } from "../base/error.ts";
import { isDigest } from "./oci-reference.ts";

export const MANIFEST_TYPES = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
];
export const INDEX_TYPES = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
];

export interface Descriptor {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
}

export interface Manifest {
  readonly config: Descriptor | null;
  readonly layers: readonly Descriptor[];
}

const LAYERS_LIMIT = 4096;
const DOCUMENT_DEPTH_LIMIT = 64;

/** OCI's names for Bun's. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };
/** The variant that every machine of an architecture understands. */
const VARIANTS: Readonly<Record<string, readonly string[]>> = { amd64: ["", "v1"], arm64: ["v8", ""] };

export const NATIVE_ARCHITECTURE = ARCHITECTURES[process.arch] ?? process.arch;

function bad(what: string): ErrnoError {
  return new ErrnoError("EPROTO", `Image manifest is not valid: ${what}`);
}

type Json = Readonly<Record<string, unknown>>;

/** A JSON object of an image. */
export function parseObject(bytes: Buffer): Json {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString("utf8"));
  } catch (error) {
    throw new ErrnoError("EPROTO", "Image manifest is not valid: no JSON", { cause: error });
  }
  if (!isObject(value) || depthOf(value) > DOCUMENT_DEPTH_LIMIT) throw bad("no object");
  return value;
}

function isObject(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function depthOf(value: unknown, depth = 0): number {
  if (depth > DOCUMENT_DEPTH_LIMIT || typeof value !== "object" || value === null) return depth;
  return Math.max(depth, ...Object.values(value).map((one) => depthOf(one, depth + 1)));
}

function descriptorOf(value: unknown): Descriptor {
  if (!isObject(value)) throw bad("no descriptor");
  const { mediaType, digest, size } = value;
  if (!isDigest(digest)) throw bad(`unknown digest ${JSON.stringify(digest)}`);
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) throw bad("impossible size");
  return { mediaType: typeof mediaType === "string" ? mediaType : "", digest, size };
}

/** What a document is, by its own words and by those of whoever sent it. */
function typeOf(document: Json, contentType: string | null): "manifest" | "index" {
  const [own, sent] = [document["mediaType"], contentType?.split(";")[0]?.trim()];
  const known = [...MANIFEST_TYPES, ...INDEX_TYPES];
  const isKnownSent = sent !== undefined && known.includes(sent);
  if (own !== undefined && isKnownSent && own !== sent)
    throw bad("it says that it is something else than the server says");
  const type = own ?? (isKnownSent ? sent : undefined);
  if (type !== undefined && (typeof type !== "string" || !known.includes(type)))
    throw bad(`unknown type ${JSON.stringify(type)}`);
  const isIndex = type === undefined ? "manifests" in document : INDEX_TYPES.includes(type as string);
  if ("manifests" in document && ("layers" in document || "config" in document)) throw bad("it is two things at once");
  return isIndex ? "index" : "manifest";
}

/** Reads a manifest, or finds in an index the manifest to read. */
export function readManifest(
  bytes: Buffer,
  contentType: string | null,
  architecture: string,
): { readonly manifest: Manifest } | { readonly next: Descriptor } {
  const document = parseObject(bytes);
  if (typeOf(document, contentType) === "index") return { next: chooseManifest(document, architecture) };
  const { layers, config } = document;
  if (!Array.isArray(layers)) throw bad("no layers");
  if (layers.length > LAYERS_LIMIT) throw bad(`more than ${LAYERS_LIMIT} layers`);
  return { manifest: { layers: layers.map(descriptorOf), config: config === undefined ? null : descriptorOf(config) } };
}

function chooseManifest({ manifests }: Json, architecture: string): Descriptor {
  if (!Array.isArray(manifests)) throw bad("no manifests");
  const candidates = manifests.filter(isObject).flatMap((entry) => {
    const platform = isObject(entry["platform"]) ? entry["platform"] : {};
    const isOurs =
      (platform["os"] ?? "linux") === "linux" && (platform["architecture"] ?? architecture) === architecture;
    const rank = (VARIANTS[architecture] ?? [""]).indexOf(String(platform["variant"] ?? ""));
    return isOurs ? [{ entry, rank: rank < 0 ? Number.MAX_SAFE_INTEGER : rank }] : [];
  });
  const best = candidates.sort((a, b) => a.rank - b.rank)[0];
  if (best === undefined) throw new ErrnoError("ENOENT", `Image is not there for linux on ${architecture}.`);
  const chosen = descriptorOf(best.entry);
  if (INDEX_TYPES.includes(chosen.mediaType)) throw bad("an index in an index");
  return chosen;
}

/** How the data of a layer is packed; null for what is no layer of files. */
export function isLayerType(mediaType: string): boolean {
  return /^application\/vnd\.(oci\.image\.layer\.v1\.tar(\+gzip|\+zstd)?|docker\.image\.rootfs\.diff\.tar(\.gzip|\.zstd)?)$/.test(
    mediaType,
  );
}

/** Layers that are not in the registry but wherever the manifest says: nothing that may be followed. */
export function isForeignLayer(mediaType: string): boolean {
  return mediaType.includes("nondistributable") || mediaType.includes("foreign");
}
