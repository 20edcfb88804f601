// From the document of a reference to the manifest of one image: through indexes, which may hold indexes, and without
// the artifacts that are stored beside images.
import { ErrnoError } from "../../base/error.ts";
import { digestOf, requireDigest } from "../../oci/reference.ts";
import { log } from "../program/log.ts";
import { type Descriptor, type Manifest, readManifest, type TypedBytes } from "./manifest.ts";
import type { Document, OciSource } from "./source.ts";

/** How deep indexes may be nested: a copy of all platforms is an index in an index. */
const DEPTH_LIMIT = 4;
/** How many documents are read for one image. */
const DOCUMENTS_LIMIT = 32;

/** Whether `bytes` have the size and digest of the descriptor. */
function isContent(bytes: Buffer, { digest, size }: Descriptor): boolean {
  return bytes.length === size && digest === digestOf(bytes);
}

/** Returns the document of a descriptor, verified. Small ones may be in the descriptor itself. */
export async function verifiedDocument(
  source: OciSource,
  descriptor: Descriptor,
  kind: "manifests" | "blobs",
): Promise<Document> {
  const { data } = descriptor;
  if (data !== null && isContent(data, descriptor)) return { bytes: data, contentType: null };
  const document = await source.document(descriptor, kind);
  requireDigest(document.bytes, descriptor.digest, descriptor.size);
  return document;
}

class Search {
  readonly #source: OciSource;
  readonly #architecture: string;
  #left = DOCUMENTS_LIMIT;
  /** The first manifest that may be an image; it is used where no document is marked as an image. */
  #other: Manifest | null = null;

  constructor(source: OciSource, architecture: string) {
    this.#source = source;
    this.#architecture = architecture;
  }

  async run(): Promise<Manifest> {
    const found = (await this.#look(await this.#source.root(), 0)) ?? this.#other;
    if (found === null) throw new ErrnoError("ENOENT", `Image has no variant for linux on ${this.#architecture}.`);
    return found;
  }

  async #look(given: TypedBytes, depth: number): Promise<Manifest | null> {
    const read = readManifest(given, this.#architecture);
    if ("manifest" in read) {
      if (read.manifest.isImage) return read.manifest;
      this.#other ??= read.manifest;
      return null;
    }
    if (depth >= DEPTH_LIMIT) throw new ErrnoError("EPROTO", "Image manifest is not valid: indexes nested too deep");
    for (const candidate of read.candidates) {
      if (this.#left-- === 0)
        throw new ErrnoError("EPROTO", "Image manifest is not valid: too many manifests to choose from");
      const document = await verifiedDocument(this.#source, candidate, "manifests");
      const found = await this.#look({ ...document, namedType: candidate.mediaType }, depth + 1);
      if (found !== null) return found;
    }
    return null;
  }
}

/** Returns the manifest of the image for linux on `architecture`. */
export async function chooseManifest(source: OciSource, architecture: string): Promise<Manifest> {
  return new Search(source, architecture).run();
}

/** Warns where an image names another platform; it is used, because it was requested by its own name. */
export function warnOfPlatform(platform: string | null, architecture: string): void {
  if (platform !== null && platform !== `linux/${architecture}`) {
    log("warning", `Image is for ${platform}, not for linux/${architecture}.`);
  }
}
