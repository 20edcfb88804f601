// The documents of an image that is pushed: its configuration and its manifest (the OCI image specification). They
// contain no times: equal layers and settings make equal bytes, and so equal digests.
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
  /** The digest of the uncompressed archive. */
  readonly diffId: string;
  /** A note for people about the content of the layer. */
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
 * Returns the configuration. `known` is the configuration of the container image that the tree was pulled from, or
 * null: its platform and its settings for running containers are kept.
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

/** Returns the manifest of the layers, the lowest first. */
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
