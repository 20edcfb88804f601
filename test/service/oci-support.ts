// Small container images on a server of the test.
import { createHash } from "node:crypto";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { archive, type BuiltMember } from "../unit/worker/archive-builder.ts";
import type { FaultyServer } from "./pull-support.ts";

const OCI = "application/vnd.oci.image";

interface Blob {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly mediaType: string;
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

interface Layer extends Blob {
  readonly plain: Buffer;
}

export function layerOf(...members: BuiltMember[]): Layer {
  const plain = archive(...members);
  return { plain, bytes: Buffer.from(gzipSync(plain)), mediaType: `${OCI}.layer.v1.tar+gzip` };
}

const describe = ({ bytes, mediaType }: Blob) => ({ mediaType, digest: digestOf(bytes), size: bytes.length });

/** The manifest of an image of these layers, and its blobs. */
export function ociImage(layers: readonly Layer[]): { manifest: Blob; blobs: Blob[] } {
  const diffIds = layers.map(({ plain }) => digestOf(plain));
  const config = Buffer.from(JSON.stringify({ config: {}, rootfs: { type: "layers", diff_ids: diffIds } }));
  const configBlob = { bytes: config, mediaType: `${OCI}.config.v1+json` };
  const mediaType = `${OCI}.manifest.v1+json`;
  const content = { schemaVersion: 2, mediaType, config: describe(configBlob), layers: layers.map(describe) };
  return { manifest: { bytes: Buffer.from(JSON.stringify(content)), mediaType }, blobs: [configBlob, ...layers] };
}

/** Publishes the image on the server; returns its reference. */
export function publishOci(
  server: FaultyServer,
  name: string,
  { manifest, blobs }: ReturnType<typeof ociImage>,
): string {
  server.pages[`v2/${name}/manifests/latest`] = {
    body: manifest.bytes,
    headers: { "Content-Type": manifest.mediaType },
  };
  for (const { bytes } of blobs) server.pages[`v2/${name}/blobs/${digestOf(bytes)}`] = { body: bytes, ranges: true };
  return `${new URL(server.url("")).host}/${name}`;
}

/** Makes a directory for $MACHINED_OCI_REGISTRIES whose rules say that the server uses http. */
export function registryRules(parent: string, server: FaultyServer): string {
  const rules = join(parent, "rules");
  mkdirSync(rules, { recursive: true });
  const host = encodeURIComponent(new URL(server.url("")).host);
  writeFileSync(join(rules, `registry.${host}.oci-registry`), JSON.stringify({ defaultProtocol: "http" }));
  return rules;
}
