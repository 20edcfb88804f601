// systemd-pull oci REF [NAME]: a container image becomes a machine. Where the host's nspawn knows stacks of layers it gets
// one, elsewhere a tree that has all layers in one. Layers are kept under their digests, shared by all images.
import { symlinkSync, writeFileSync } from "node:fs";
import { ErrnoError } from "../base/error.ts";
import { type Fd, openAt, openPath } from "../kernel/fd.ts";
import { type Chunks, readChunks, Turns } from "./archive.ts";
import { decompress } from "./compression.ts";
import { log } from "./import-log.ts";
import type { CommandLine, WorkerOptions } from "./import-options.ts";
import { Reservation } from "./import-reservation.ts";
import { unpackOptions, unpackPlainTar, unpackTar } from "./import-tar.ts";
import { imageRootOf, requireFree, requireName } from "./import-target.ts";
import { exists, openImageRoot, Stage, sweepOrphans } from "./install-image.ts";
import { isOverlayAttribute, LayerTarget, MergeTarget } from "./oci-layer.ts";
import {
  type Descriptor,
  isForeignLayer,
  isLayerType,
  type Manifest,
  NATIVE_ARCHITECTURE,
  readManifest,
} from "./oci-manifest.ts";
import { parseReference, resolveReference } from "./oci-reference.ts";
import { OciRegistry } from "./oci-registry.ts";
import { contentDigests, settingsOf } from "./oci-settings.ts";
import { layoutSource, type OciSource, registrySource } from "./oci-source.ts";
import { Progress } from "./progress.ts";
import { tarChunks } from "./tar.ts";
import { changeMode, tryMakeDirectory } from "./untar-calls.ts";
import { Unpacker } from "./untar-unpacker.ts";

const PARALLEL = 5;
const LAYER_LIMIT_BYTES = 64 * 1024 ** 3;
const MSTACK_SINCE = 260;
const LAYOUT = /^oci:(.+?)(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,126}))?$/;
const ARCHIVE = /^oci-archive:(.+?)(?::([A-Za-z0-9_][A-Za-z0-9._-]{0,126}))?$/;

/** Runs the verb. */
export async function pullOci({ options, words }: CommandLine): Promise<void> {
  const [reference = "", given] = words;
  const isLocal = LAYOUT.test(reference) || ARCHIVE.test(reference);
  const derived = isLocal ? "imported" : (parseReference(reference).image.split("/").at(-1) ?? "");
  const isCacheOnly = given === "-" || given === "";
  const local = isCacheOnly ? null : requireName(given ?? derived);
  if (local !== null) requireFree(local, options);
  log("info", local === null ? `Pulling '${reference}'.` : `Pulling '${reference}', saving as '${local}'.`);
  using root = openImageRoot(imageRootOf(options));
  sweepOrphans(root);
  using _reserved = local === null ? null : new Reservation(root, local);
  using opened = await openSource(reference, root);
  await install(opened.source, root, local, options);
}

interface OpenedSource extends Disposable {
  readonly source: OciSource;
}

async function openSource(reference: string, root: Fd): Promise<OpenedSource> {
  const layout = LAYOUT.exec(reference);
  if (layout !== null) {
    const folder = openPath(layout[1] ?? "", "directory");
    return { source: layoutSource(folder, reference, layout[2] ?? null), [Symbol.dispose]: () => folder.close() };
  }
  const packed = ARCHIVE.exec(reference);
  if (packed !== null) return openArchive(packed[1] ?? "", reference, packed[2] ?? null, root);
  const registry = new OciRegistry(resolveReference(parseReference(reference)));
  return { source: registrySource(registry), [Symbol.dispose]: () => {} };
}

/** An image layout in a tar archive: unpacked beside the images, and removed afterwards. */
async function openArchive(path: string, reference: string, tag: string | null, root: Fd): Promise<OpenedSource> {
  const stage = Stage.tree(root, "oci", false);
  try {
    using file = openPath(path, "read");
    await unpackTar(readChunks(file), stage.file, { refuseDevices: true }, LAYER_LIMIT_BYTES);
    return { source: layoutSource(stage.file, reference, tag), [Symbol.dispose]: () => stage[Symbol.dispose]() };
  } catch (error) {
    stage[Symbol.dispose]();
    throw error;
  }
}

async function install(source: OciSource, root: Fd, local: string | null, options: WorkerOptions): Promise<void> {
  const progress = new Progress((percent) => `Got ${percent}% of ${source.name}.`);
  progress.stage(0);
  const manifest = await fetchManifest(source, options.architecture ?? NATIVE_ARCHITECTURE);
  const config = await fetchConfig(source, manifest);
  const layers = manifest.layers.filter(isWanted);
  const contents = config === null || layers.length < manifest.layers.length ? null : contentDigests(config);
  await fetchLayers(source, root, layers, { options, contents, progress });
  if (local === null) return;
  const names = layers.map(({ digest }) => layerName(digest));
  progress.stage(95);
  using stage = knowsStacks() ? stackOf(root, names, options) : await flatten(root, names, options);
  stage.install(knowsStacks() ? `${local}.mstack` : local, options);
  if (config !== null) putConfig(root, local, config, options);
  log("info", `Created new local image '${local}'.`);
}

async function fetchManifest(source: OciSource, architecture: string): Promise<Manifest> {
  const { bytes, contentType } = await source.root();
  const first = readManifest(bytes, contentType, architecture);
  if ("manifest" in first) return first.manifest;
  const document = await source.document(first.next, "manifests");
  requireDigest(document.bytes, first.next);
  const second = readManifest(document.bytes, document.contentType, architecture);
  if ("next" in second) throw new ErrnoError("EPROTO", "Image manifest is not valid: an index in an index");
  return second.manifest;
}

function requireDigest(bytes: Buffer, { digest, size }: Descriptor): void {
  const found = `sha256:${new Bun.CryptoHasher("sha256").update(bytes).digest("hex")}`;
  if (found !== digest || bytes.length !== size) {
    throw new ErrnoError("EBADMSG", `DOWNLOAD INVALID: ${digest} was asked for, ${found} came`);
  }
}

const EMPTY_CONFIG = Buffer.from("{}");

async function fetchConfig(source: OciSource, { config }: Manifest): Promise<Buffer | null> {
  if (config === null) return null;
  const { bytes } = await source.document(config, "blobs");
  requireDigest(bytes, config);
  return bytes.equals(EMPTY_CONFIG) ? null : bytes;
}

function isWanted({ mediaType }: Descriptor): boolean {
  if (isForeignLayer(mediaType)) throw new ErrnoError("EOPNOTSUPP", "Image has layers that are not in the registry.");
  if (isLayerType(mediaType)) return true;
  log("warning", `Layer of type '${mediaType}' is none of files, leaving it out.`);
  return false;
}

function layerName(digest: string): string {
  return `.oci-${digest}`;
}

interface LayerWork {
  readonly options: WorkerOptions;
  readonly contents: readonly string[] | null;
  readonly progress: Progress;
}

const DOWNLOAD_SHARE = 95;

/** Fetches the layers that are not here yet, some at a time; each of them once. */
async function fetchLayers(source: OciSource, root: Fd, layers: readonly Descriptor[], work: LayerWork): Promise<void> {
  const missing = new Map<string, { layer: Descriptor; content: string | null }>();
  layers.forEach((layer, index) => {
    if (!exists(root, layerName(layer.digest)))
      missing.set(layer.digest, { layer, content: work.contents?.[index] ?? null });
  });
  const total = [...missing.values()].reduce((sum, { layer }) => sum + layer.size, 0);
  let done = 0;
  const queue = [...missing.values()];
  const count = (bytes: number) => {
    done += bytes;
    if (total > 0) work.progress.report((done / total) * DOWNLOAD_SHARE);
  };
  const run = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      await fetchLayer(source, root, next.layer, next.content, work.options, count);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, run));
}

async function fetchLayer(
  source: OciSource,
  root: Fd,
  layer: Descriptor,
  content: string | null,
  options: WorkerOptions,
  count: (bytes: number) => void,
): Promise<void> {
  using stage = Stage.tree(root, "oci", options.btrfsSubvolume);
  await source.blob(layer, root, async (chunks) => {
    const [packed, plain] = [new Bun.CryptoHasher("sha256"), new Bun.CryptoHasher("sha256")];
    let size = 0;
    const counted = tapped(chunks, (chunk) => {
      size += chunk.length;
      if (size > layer.size) throw new ErrnoError("EFBIG", `Layer ${layer.digest} is larger than announced.`);
      packed.update(chunk);
      count(chunk.length);
    });
    await unpackLayer(
      tapped(decompress(counted), (chunk) => plain.update(chunk)),
      stage.file,
      options,
    );
    for await (const _ of counted); // What stands behind the archive belongs to the digest too.
    requireSame(layer, size, `sha256:${packed.digest("hex")}`);
    const found = `sha256:${plain.digest("hex")}`;
    if (content !== null && content !== found) {
      throw new ErrnoError("EBADMSG", `DOWNLOAD INVALID: Content of layer ${layer.digest} is not what the image says`);
    }
  });
  // Another transfer may have been faster with the same layer.
  if (exists(root, layerName(layer.digest))) return;
  stage.install(layerName(layer.digest), { force: false, readOnly: true, sync: options.sync });
  log("info", `Acquired layer ${layer.digest}.`);
}

function requireSame({ digest, size }: Descriptor, foundSize: number, found: string): void {
  if (found === digest && foundSize === size) return;
  throw new ErrnoError("EBADMSG", `DOWNLOAD INVALID: Layer ${digest} was asked for, ${found} came`);
}

async function* tapped(chunks: Chunks, tap: (chunk: Buffer) => void): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    tap(chunk);
    yield chunk;
  }
}

async function unpackLayer(source: Chunks, top: Fd, options: WorkerOptions): Promise<void> {
  const policy = { ...unpackOptions(options), dropAttribute: isOverlayAttribute };
  await unpackPlainTar(source, top, policy, LAYER_LIMIT_BYTES, (untar) => new LayerTarget(untar));
}

let stacks: boolean | null = null;

/** Whether the nspawn of this host can run stacks; $MACHINED_OCI_STACK says so without asking it. */
function knowsStacks(): boolean {
  stacks ??= /^(1|yes)$/.test(process.env["MACHINED_OCI_STACK"] ?? "") || nspawnVersion() >= MSTACK_SINCE;
  return stacks;
}

function nspawnVersion(): number {
  const program = process.env["MACHINED_OCI_STACK"] ? null : Bun.which("systemd-nspawn");
  if (program === null) return 0;
  const { stdout } = Bun.spawnSync([program, "--version"], { stderr: "ignore" });
  return Number(/^systemd (\d+)/.exec(stdout.toString())?.[1] ?? 0);
}

/** A directory of links to the layers, the lowest first, and one for what the machine writes. */
function stackOf(root: Fd, names: readonly string[], options: WorkerOptions): Stage {
  const stage = Stage.tree(root, "oci", false);
  const path = `/proc/self/fd/${stage.file.number}`;
  names.forEach((name, index) => {
    symlinkSync(`../${name}`, `${path}/layer@${index}`);
  });
  if (!options.readOnly) tryMakeDirectory(stage.file, "rw", 0o755);
  changeMode(stage.file, 0o755);
  return stage;
}

/** One tree of all layers. */
async function flatten(root: Fd, names: readonly string[], options: WorkerOptions): Promise<Stage> {
  const stage = Stage.tree(root, "oci", options.btrfsSubvolume);
  try {
    changeMode(stage.file, 0o755);
    const turns = new Turns();
    for (const name of names) {
      using layer = openAt(root, name, "directory");
      using unpacker = new Unpacker(
        stage.file,
        { dropAttribute: isOverlayAttribute },
        (untar) => new MergeTarget(untar),
      );
      for (const chunk of tarChunks(layer)) {
        unpacker.push(chunk);
        await turns.pass();
      }
      unpacker.end();
    }
    return stage;
  } catch (error) {
    stage[Symbol.dispose]();
    throw error;
  }
}

function putConfig(root: Fd, local: string, config: Buffer, options: WorkerOptions): void {
  const settings = settingsOf(config);
  const files: [string, Buffer | string | null][] = [
    [`${local}.nspawn`, settings],
    [`${local}.oci-config`, config],
  ];
  for (const [name, content] of files) {
    if (content === null || (exists(root, name) && !options.force)) continue;
    using stage = Stage.file(root, "settings", 0o644);
    writeFileSync(stage.file.number, content);
    stage.install(name, { force: true, readOnly: false, sync: options.sync });
  }
}
