// The documents of an image that is pushed.
import { expect, test } from "bun:test";
import { configOf, manifestOf, type PushedLayer } from "../../../../src/worker/oci/image-config.ts";
import { NATIVE_ARCHITECTURE, readManifest } from "../../../../src/worker/oci/manifest.ts";
import { contentDigests } from "../../../../src/worker/oci/settings.ts";

const digest = (letter: string) => `sha256:${letter.repeat(64)}`;
const LAYERS: readonly PushedLayer[] = [
  { digest: digest("a"), size: 10, compression: "gzip", diffId: digest("b"), comment: "all files" },
  { digest: digest("c"), size: 20, compression: "zstd", diffId: digest("d"), comment: "the difference" },
];

test("a pull can read the documents, and they are identical for the same layers", () => {
  const config = configOf(LAYERS, null);
  expect(contentDigests(config.bytes)).toEqual([digest("b"), digest("d")]);
  expect(JSON.parse(config.bytes.toString())).toMatchObject({ architecture: NATIVE_ARCHITECTURE, os: "linux" });
  expect(JSON.parse(config.bytes.toString()).history.length).toBe(2);
  const manifest = manifestOf(LAYERS, config);
  const read = readManifest({ bytes: manifest.bytes, contentType: manifest.mediaType }, NATIVE_ARCHITECTURE);
  expect(read).toMatchObject({
    manifest: {
      isImage: true,
      config: { digest: config.digest },
      layers: [{ digest: digest("a"), size: 10 }, { size: 20 }],
    },
  });
  expect(manifestOf(LAYERS, configOf(LAYERS, null)).digest).toBe(manifest.digest);
  expect(JSON.parse(manifest.bytes.toString()).layers.map((one: { mediaType: string }) => one.mediaType)).toEqual([
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
  ]);
});

test("of a pulled image's configuration, only the platform and the settings for running it are kept", () => {
  const known = {
    architecture: "arm64",
    variant: "v8",
    os: "linux",
    config: { Cmd: ["sh"] },
    rootfs: 1,
    history: [],
    x: 1,
  };
  const made = JSON.parse(configOf(LAYERS, Buffer.from(JSON.stringify(known))).bytes.toString());
  expect(made).toMatchObject({ architecture: "arm64", variant: "v8", config: { Cmd: ["sh"] } });
  expect(Object.keys(made)).toEqual(["architecture", "variant", "os", "config", "rootfs", "history"]);
  const strange = Buffer.from(JSON.stringify({ architecture: "a\nb", os: 7, config: ["x"] }));
  expect(JSON.parse(configOf(LAYERS, strange).bytes.toString())).toMatchObject({
    architecture: NATIVE_ARCHITECTURE,
    os: "linux",
  });
  expect(() => configOf(LAYERS, Buffer.from("nothing"))).toThrow("no JSON");
});
