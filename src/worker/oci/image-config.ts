// The documents of an image that is pushed: its configuration and its manifest (the OCI image specification). The same layers
// and the same settings are the same bytes, and so the same digests.
import type { LayerCompression } from "../../base/vocabulary/compression.ts";
import { digestOf } from "../../oci/reference.ts";
import { NATIVE_ARCHITECTURE, parseObject } from "./manifest.ts";

const [MANIFEST_TYPE, CONFIG_TYPE, LAYER_TYPE] = [
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.oci.image.config.v1+json",
  "application/vnd.oci.image.layer.v1.tar",
];

/** A layer as it is in a registry. */
export interface PushedLayer {
  readonly digest: string;
  readonly size: number;
  readonly compression: LayerCompression;
  /** The digest of the archive that is compressed in it. */
  readonly diffId: string;
  /** What it was made of, in a word for people. */
  readonly comment: string;
}

export interface PushedDocument {
  readonly bytes: Buffer;
  readonly digest: string;
  readonly mediaType: string;
}

function documentOf(mediaType: string, value: object): PushedDocument {
  const bytes = Buffer.from(JSON.stringify(value));
  return { bytes, digest: digestOf(bytes), mediaType };
}

const PLAIN = /^[a-z0-9_]{1,32}$/;

function plain(value: unknown): string | undefined {
  return typeof value === "string" && PLAIN.test(value) ? value : undefined;
}

/**
 * The configuration. `known` is that of the image that the tree came from, where it was pulled: what it says of the platform and
 * of how a container is run stays.
 */
export function configOf(layers: readonly PushedLayer[], known: Buffer | null): PushedDocument {
  const before = known === null ? {} : parseObject(known);
  const { config, variant } = before;
  const isRunnable = typeof config === "object" && config !== null && !Array.isArray(config);
  const named = plain(variant);
  return documentOf(CONFIG_TYPE, {
    architecture: plain(before["architecture"]) ?? NATIVE_ARCHITECTURE,
    ...(named === undefined ? {} : { variant: named }),
    os: plain(before["os"]) ?? "linux",
    ...(isRunnable ? { config } : {}),
    rootfs: { type: "layers", diff_ids: layers.map(({ diffId }) => diffId) },
    history: layers.map(({ comment }) => ({ created_by: "importctl push-oci", comment })),
  });
}

/** The manifest of the layers, the lowest first. */
export function manifestOf(layers: readonly PushedLayer[], config: PushedDocument): PushedDocument {
  return documentOf(MANIFEST_TYPE, {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: config.mediaType, digest: config.digest, size: config.bytes.length },
    layers: layers.map(({ digest, size, compression }) => ({
      mediaType: `${LAYER_TYPE}+${compression}`,
      digest,
      size,
    })),
  });
}
