// From what a reference names to the manifest of one image: through indexes, which may hold indexes, and past what stands
// beside images and is none.
import { ErrnoError } from "../../base/error.ts";
import { digestOf, requireDigest } from "../../oci/reference.ts";
import { log } from "../program/log.ts";
import { type Descriptor, type Manifest, readManifest, type TypedBytes } from "./manifest.ts";
import type { Document, OciSource } from "./source.ts";

/** An index in an index is what a copy of all platforms is; deeper than this is made to keep us busy. */
const DEPTH_LIMIT = 4;
/** Documents that are looked at for one image. */
const DOCUMENTS_LIMIT = 32;

/** Whether `bytes` are what the descriptor stands for. */
function isContent(bytes: Buffer, { digest, size }: Descriptor): boolean {
  return bytes.length === size && digest === digestOf(bytes);
}

/** A document that a descriptor names, verified. Small ones may be in the descriptor itself. */
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
  /** What is there, in case that nothing says that it is an image. */
  #other: Manifest | null = null;

  constructor(source: OciSource, architecture: string) {
    this.#source = source;
    this.#architecture = architecture;
  }

  async run(): Promise<Manifest> {
    const found = (await this.#look(await this.#source.root(), 0)) ?? this.#other;
    if (found === null) throw new ErrnoError("ENOENT", `Image is not there for linux on ${this.#architecture}.`);
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

/** The manifest of the image for linux on `architecture`. */
export async function chooseManifest(source: OciSource, architecture: string): Promise<Manifest> {
  return new Search(source, architecture).run();
}

/** Warns where an image says that it was made for another platform; it was asked for by its own name. */
export function warnOfPlatform(platform: string | null, architecture: string): void {
  if (platform !== null && platform !== `linux/${architecture}`) {
    log("warning", `Image is for ${platform}, not for linux/${architecture}.`);
  }
}
