// Downloads to a disk that does not have enough space, or does not seem to.
import { afterAll, expect, setDefaultTimeout } from "bun:test";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { rootTest } from "../kernel/support.ts";
import { run } from "../kernel/tree-support.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { digestOf, layerOf, ociImage, publishOci, registryRules } from "./oci-support.ts";
import { entries, FaultyServer, runWorker } from "./pull-support.ts";

setDefaultTimeout(GUARD_MS);

const MIB = 1 << 20;
const DISK = 100 * MIB;
const top = mkdtempSync("/dev/shm/pull-full-");
const mounted: string[] = [];
afterAll(() => {
  for (const path of mounted) run("umount", "-l", path);
  rmSync(top, { recursive: true, force: true });
});
const server = new FaultyServer();

function smallDisk(): string {
  const path = join(top, `disk${mounted.length}`);
  mkdirSync(path);
  run("mount", "-t", "tmpfs", "-o", `size=${DISK}`, "tmpfs", path);
  mounted.push(path);
  return path;
}

function pull(root: string, name: string) {
  return runWorker("systemd-pull", [`--image-root=${root}`, "--verify=no", "raw", server.url(name), "image"]);
}

rootTest("a disk image of zeros fits on a smaller disk, and a warning says that it may not", async () => {
  const body = Buffer.alloc(2 * DISK);
  randomBytes(MIB).copy(body, 7 * MIB);
  server.pages["zeros.raw"] = { body, headers: { ETag: '"zeros"' } };
  const root = smallDisk();
  const { code, log } = await pull(root, "zeros.raw");
  expect(log).toContain("200M are to be downloaded, and the disk has 100M left: that may be too little.");
  expect(code).toBe(0);
  expect(statSync(join(root, "image.raw")).size).toBe(2 * DISK);
});

rootTest("a download that does not fit ends before the disk is full, and frees all of its space", async () => {
  server.pages["noise.raw"] = { body: randomBytes(80 * MIB), headers: { ETag: '"noise"' } };
  const root = smallDisk();
  const { code, log } = await pull(root, "noise.raw");
  expect(code).toBe(1);
  expect(log).toContain("Disk is full: ");
  expect(log).not.toContain("that may be too little");
  expect(entries(root)).toEqual([]);
});

rootTest("layers that are each small are refused when their sum exceeds the free space", async () => {
  const layers = Array.from({ length: 12 }, (_, index) =>
    layerOf({ name: `f${index}`, data: Buffer.alloc(8 * MIB, 1) }),
  );
  const image = ociImage(layers);
  const reference = publishOci(server, "many", image);
  // With a tag, an unfinished layer could be kept for a later call.
  for (const { bytes } of image.blobs) {
    server.pages[`v2/many/blobs/${digestOf(bytes)}`] = { body: bytes, headers: { ETag: `"${digestOf(bytes)}"` } };
  }
  const root = smallDisk();
  const { code, log } = await runWorker("systemd-pull", [`--image-root=${root}`, "oci", reference, "image"], {
    MACHINED_OCI_REGISTRIES: registryRules(top, server),
  });
  expect(code).toBe(1);
  expect(log).toContain("Disk is full: ");
  // Complete layers are kept for the next call.
  expect(entries(root).filter((name) => !name.startsWith(".oci-"))).toEqual([]);
});
