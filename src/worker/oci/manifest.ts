// Manifests and indexes of container images, OCI's and Docker's (the OCI image specification). They are not trusted:
// everything that is used is checked first, and a document that could be interpreted in two ways is refused
// (CVE-2021-41190).
import { ErrnoError } from "../../base/error.ts";
import { isOciDigest } from "../../base/vocabulary/oci-reference.ts";

export const MANIFEST_TYPES = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
];
export const INDEX_TYPES = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
];

/**
 * The media types of Docker's first schema, which cannot be verified and has no sizes: registries no longer make it.
 */
const OLD_TYPE = /^application\/vnd\.docker\.distribution\.manifest\.v1\+(json|prettyjws)$/;
/** The media types of configurations that start a machine: others belong to charts, signatures, programs. */
const CONFIG_TYPES = ["application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json"];

export interface Descriptor {
  /** In lower case; empty where unknown. */
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  /** Other addresses of the bytes. */
  readonly urls: readonly string[];
  /** The bytes themselves; not verified. */
  readonly data: Buffer | null;
}

export interface Manifest {
  readonly config: Descriptor | null;
  readonly layers: readonly Descriptor[];
  /**
   * Whether its types are those of an image from which a machine can be made, and not of another artifact in a
   * registry.
   */
  readonly isImage: boolean;
}

/** A parsed document. An index has its manifests for the wanted platform, the best first. */
type Read = { readonly manifest: Manifest } | { readonly candidates: readonly Descriptor[] };

const LAYERS_LIMIT = 4096;
const MANIFESTS_LIMIT = 4096;
const DOCUMENT_DEPTH_LIMIT = 64;
const URLS_LIMIT = 16;
const DATA_LIMIT = 4 << 20;

/** OCI's names of architectures, by the engine's. */
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: "amd64", arm64: "arm64" };
/** The variant that every processor of an architecture supports. */
const VARIANTS: Readonly<Record<string, readonly string[]>> = { amd64: ["", "v1"], arm64: ["v8", ""] };

export const NATIVE_ARCHITECTURE = ARCHITECTURES[process.arch] ?? process.arch;

function bad(what: string): ErrnoError {
  return new ErrnoError("EPROTO", `Image manifest is not valid: ${what}`);
}

type Json = Readonly<Record<string, unknown>>;

/** Parses a JSON object of an image. */
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
  const { mediaType, digest, size, urls, data } = value;
  if (!isOciDigest(digest)) throw bad(`unknown digest ${JSON.stringify(digest)}, only sha256 is known`);
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 0) throw bad("impossible size");
  return {
    mediaType: mediaTypeOf(mediaType) ?? "",
    digest,
    size,
    urls: Array.isArray(urls) ? urls.filter((url): url is string => typeof url === "string").slice(0, URLS_LIMIT) : [],
    data: typeof data === "string" && data.length <= DATA_LIMIT ? Buffer.from(data, "base64") : null,
  };
}

/** Returns a media type without its parameters; undefined for an invalid one. */
function mediaTypeOf(value: unknown): string | undefined {
  return typeof value === "string" ? value.split(";")[0]?.trim().toLowerCase() || undefined : undefined;
}

/**
 * Returns the media type of a document, by its own field and by that of the sender: one may be missing, but they must
 * not differ.
 */
function kindOf(document: Json, contentType: string | null): "manifest" | "index" {
  const [own, sent] = [mediaTypeOf(document["mediaType"]), mediaTypeOf(contentType)];
  if (OLD_TYPE.test(own ?? sent ?? "") || document["schemaVersion"] === 1) {
    const advice = "push it again with a current program";
    throw new ErrnoError("EOPNOTSUPP", `Image manifest is of Docker's schema 1, which is not supported: ${advice}`);
  }
  const [ownKind, sentKind] = [kindOfType(own), kindOfType(sent)];
  if (own !== undefined && ownKind === null) throw bad(`unknown type ${JSON.stringify(own)}`);
  if (ownKind !== null && sentKind !== null && ownKind !== sentKind)
    throw bad("its type differs from the one that the server sent");
  if ("manifests" in document && ("layers" in document || "config" in document))
    throw bad("it is both an index and a manifest");
  return ownKind ?? sentKind ?? ("manifests" in document ? "index" : "manifest");
}

function kindOfType(type: string | undefined): "manifest" | "index" | null {
  if (type === undefined) return null;
  if (MANIFEST_TYPES.includes(type)) return "manifest";
  return INDEX_TYPES.includes(type) ? "index" : null;
}

export interface TypedBytes {
  readonly bytes: Buffer;
  /** The media type that the server sent; null where it sent none. */
  readonly contentType: string | null;
  /** The media type in the descriptor; null where there is none. */
  readonly namedType?: string | null;
}

/** Reads a manifest, or finds in an index the manifests to read. */
export function readManifest({ bytes, contentType, namedType }: TypedBytes, architecture: string): Read {
  const document = parseObject(bytes);
  const kind = kindOf(document, contentType);
  const named = kindOfType(mediaTypeOf(namedType));
  if (named !== null && named !== kind) throw bad("its type differs from the one in the index");
  if (kind === "index") return { candidates: candidatesOf(document, architecture) };
  const { config } = document;
  // Some programs write null in place of an empty list.
  const layers = document["layers"] === null ? [] : document["layers"];
  if (!Array.isArray(layers)) throw bad("no layers");
  if (layers.length > LAYERS_LIMIT) throw bad(`more than ${LAYERS_LIMIT} layers`);
  const configuration = config === undefined || config === null ? null : descriptorOf(config);
  const isImage = !isArtifact(document) && (configuration === null || isImageConfig(configuration));
  return { manifest: { layers: layers.map(descriptorOf), config: configuration, isImage } };
}

/** Whether a manifest is an artifact beside images: it has a type of its own, or belongs to another manifest. */
function isArtifact(value: Json): boolean {
  const { artifactType, annotations } = value;
  const isOfOther = isObject(annotations) && annotations["vnd.docker.reference.type"] !== undefined;
  return isOfOther || isObject(value["subject"]) || (typeof artifactType === "string" && artifactType !== "");
}

/** Names of architectures that some programs use in place of Go's. */
const ALIASES: Readonly<Record<string, string>> = { x86_64: "amd64", "x86-64": "amd64", aarch64: "arm64" };
/** The rank of a manifest without a platform: after all with the right one. */
const UNKNOWN_RANK = Number.MAX_SAFE_INTEGER;

/** Returns how well a platform suits, 0 best; null when it does not. */
function rankOf(platform: unknown, architecture: string): number | null {
  if (!isObject(platform) || platform["architecture"] === undefined || platform["architecture"] === "") {
    const os = isObject(platform) ? platform["os"] : undefined;
    return os === undefined || os === "" || os === "linux" ? UNKNOWN_RANK : null;
  }
  const { os, architecture: named, variant } = platform;
  const isOurs = (os ?? "linux") === "linux" && (ALIASES[String(named)] ?? named) === architecture;
  if (!isOurs) return null;
  const known = VARIANTS[architecture] ?? [""];
  const rank = known.indexOf(String(variant ?? ""));
  return rank < 0 ? known.length : rank;
}

function candidatesOf({ manifests }: Json, architecture: string): Descriptor[] {
  if (!Array.isArray(manifests)) throw bad("no manifests");
  if (manifests.length > MANIFESTS_LIMIT) throw bad(`more than ${MANIFESTS_LIMIT} manifests`);
  return manifests
    .filter(isObject)
    .filter((entry) => !isArtifact(entry) && isManifestType(mediaTypeOf(entry["mediaType"])))
    .flatMap((entry) => {
      const rank = rankOf(entry["platform"], architecture);
      return rank === null ? [] : [{ entry, rank }];
    })
    .sort((a, b) => a.rank - b.rank)
    .map(({ entry }) => descriptorOf(entry));
}

function isManifestType(type: string | undefined): boolean {
  return type === undefined || kindOfType(type) !== null;
}

const LAYER =
  /^application\/vnd\.(oci\.image\.layer(\.nondistributable)?\.v1\.tar(\+[a-z0-9]+)?|docker\.image\.rootfs(\.foreign)?\.diff\.tar(\.[a-z0-9]+)?)$/;

/** Whether a layer has files: its compression is detected from its bytes. */
export function isLayerType(mediaType: string): boolean {
  return mediaType === "" || LAYER.test(mediaType);
}

/** Layers that are mostly not in the registry, but at addresses in the manifest. */
export function isForeignLayer(mediaType: string): boolean {
  return mediaType.includes("nondistributable") || mediaType.includes("foreign");
}

/** Whether a configuration has settings for running a container. */
export function isImageConfig({ mediaType }: Descriptor): boolean {
  return mediaType === "" || CONFIG_TYPES.includes(mediaType);
}

/** Returns the platform of an image configuration, as "linux/arm64"; null where it names none. */
export function platformOf(config: Buffer): string | null {
  const { os, architecture } = parseObject(config);
  return typeof os === "string" && typeof architecture === "string"
    ? `${os}/${ALIASES[architecture] ?? architecture}`
    : null;
}
