// systemd-pull oci REF [NAME]: makes a machine of a container image: a stack of its layers where the host's nspawn supports
// stacks, elsewhere one tree of all layers. Layers are kept under their digests, shared by all images.
import { writeFileSync } from "node:fs";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { listDirectory } from "../../kernel/file/directory-entry.ts";
import { type Fd, openAt } from "../../kernel/file/fd.ts";
import { requireReference } from "../../oci/reference.ts";
import { Reservation } from "../image/reservation.ts";
import { exists, openImageRoot, Stage } from "../image/stage.ts";
import { imageRootOf, requireFree, requireName } from "../image/target.ts";
import { unpackOptions, unpackPlainTar } from "../image/unpack-tar.ts";
import { chooseManifest, verifiedDocument, warnOfPlatform } from "../oci/choose.ts";
import { HeldLayers } from "../oci/held.ts";
import { LayerTarget, layerOptions } from "../oci/layer.ts";
import { flatten, knowsStacks, stackOf } from "../oci/machine.ts";
import {
  type Descriptor,
  isForeignLayer,
  isImageConfig,
  isLayerType,
  type Manifest,
  NATIVE_ARCHITECTURE,
  platformOf,
} from "../oci/manifest.ts";
import { setMark } from "../oci/marks.ts";
import { isLocalReference, openSource } from "../oci/open.ts";
import { contentDigests, settingsOf } from "../oci/settings.ts";
import { type BlobWork, foreignBlob, type OciSource, type Taker } from "../oci/source.ts";
import { abandonAll, keepForLater } from "../program/abandon.ts";
import { transferBudget } from "../program/budget.ts";
import { log } from "../program/log.ts";
import type { CommandLine, WorkerOptions } from "../program/options.ts";
import { Progress } from "../program/progress.ts";
import type { Chunks } from "../stream/archive.ts";
import { decompress } from "../stream/compression.ts";
import { sweepOrphans } from "./remove-orphans.ts";

const PARALLEL = 5;
const LAYER_LIMIT_BYTES = 64 * 1024 ** 3;

/** Runs the verb. */
export async function pullOci({ options, words }: CommandLine): Promise<void> {
  const [reference = "", given] = words;
  const isLocal = isLocalReference(reference);
  const derived = isLocal ? "imported" : (requireReference(reference).image.split("/").at(-1) ?? "");
  const isCacheOnly = given === "-" || given === "";
  const local = isCacheOnly ? null : requireName(given ?? derived);
  if (local !== null) requireFree(local, options);
  log("info", local === null ? `Pulling '${reference}'.` : `Pulling '${reference}', saving as '${local}'.`);
  using root = openImageRoot(imageRootOf(options));
  sweepOrphans(root);
  using _reserved = local === null ? null : new Reservation(root, local, knowsStacks() ? ".mstack" : "", options);
  using opened = await openSource(reference, root);
  try {
    await install(opened.source, root, local, options);
  } catch (error) {
    // Layers beside one that failed are on their way: what has come of them is worth going on with.
    keepForLater();
    abandonAll();
    throw error;
  }
}

async function install(source: OciSource, root: Fd, local: string | null, options: WorkerOptions): Promise<void> {
  const progress = new Progress((percent) => `Got ${percent}% of ${source.name}.`);
  progress.stage(0);
  const architecture = options.architecture ?? NATIVE_ARCHITECTURE;
  const manifest = await chooseManifest(source, architecture);
  const config = await fetchConfig(source, manifest);
  if (config !== null) warnOfPlatform(platformOf(config), architecture);
  const layers = manifest.layers.filter((layer) => isWanted(layer, manifest));
  if (layers.length === 0) throw new ErrnoError("ENODATA", "Image has no layer of files.");
  const contents = config === null || layers.length < manifest.layers.length ? null : contentDigests(config);
  using held = new HeldLayers(root, options.locks);
  await fetchLayers(source, root, layers, { options, contents, progress, held });
  if (local === null) return;
  const names = layers.map(({ digest }) => layerName(digest));
  if (names.every((name) => isEmpty(root, name))) throw noFile();
  progress.stage(95);
  using stage = await (knowsStacks() ? stackOf : flatten)(root, names, options);
  // What one layer has, another one may say is gone.
  if (!knowsStacks() && isEmpty(root, stage.name)) throw noFile();
  stage.install(knowsStacks() ? `${local}.mstack` : local, options);
  if (config !== null) putConfig(root, local, config, options);
  log("info", `Created new local image '${local}'.`);
}

function noFile(): ErrnoError {
  return new ErrnoError("ENODATA", "Image has not a single file.");
}

function isEmpty(root: Fd, layer: string): boolean {
  using top = openAt(root, layer, "directory");
  return listDirectory(top).length === 0;
}

const EMPTY_CONFIG = Buffer.from("{}");

async function fetchConfig(source: OciSource, { config }: Manifest): Promise<Buffer | null> {
  if (config === null || !isImageConfig(config)) return null;
  const { bytes } = await verifiedDocument(source, config, "blobs");
  return bytes.equals(EMPTY_CONFIG) ? null : bytes;
}

/** Whether a layer has files. Throws for another one of an image, which is incomplete without it; artifacts are unpacked without it. */
function isWanted({ mediaType }: Descriptor, { isImage }: Manifest): boolean {
  if (isLayerType(mediaType)) return true;
  if (isImage) throw new ErrnoError("EOPNOTSUPP", `Image has a layer of type '${mediaType}', which is not supported.`);
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
  readonly held: HeldLayers;
}

interface MissingLayer {
  readonly layer: Descriptor;
  /** Returns the digest of the unpacked content; null where the image has none. */
  readonly content: string | null;
}

interface FetchWork {
  readonly options: WorkerOptions;
  readonly held: HeldLayers;
  readonly count: (bytes: number) => void;
}

const DOWNLOAD_SHARE = 95;

/** Downloads the missing layers, some at a time; each of them once. */
async function fetchLayers(source: OciSource, root: Fd, layers: readonly Descriptor[], work: LayerWork): Promise<void> {
  const missing = new Map<string, MissingLayer>();
  for (const [index, layer] of layers.entries()) {
    if (await work.held.hold(layerName(layer.digest))) continue;
    missing.set(layer.digest, { layer, content: work.contents?.[index] ?? null });
  }
  const total = [...missing.values()].reduce((sum, { layer }) => sum + layer.size, 0);
  let done = 0;
  const queue = [...missing.values()];
  const count = (bytes: number) => {
    done += bytes;
    if (total > 0) work.progress.report((done / total) * DOWNLOAD_SHARE);
  };
  const run = async () => {
    for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
      await fetchLayer(source, root, next, { options: work.options, held: work.held, count });
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, run));
}

interface Place {
  readonly name: string;
  readonly fetch: (layer: Descriptor, work: BlobWork) => Promise<void>;
}

/** Returns the sources of a layer's bytes, the best first. Foreign layers are mostly not in the registry. */
function placesOf(source: OciSource, { mediaType, urls }: Descriptor): Place[] {
  const own: Place = { name: source.name, fetch: (layer, work) => source.blob(layer, work) };
  const foreign = urls.map((url): Place => {
    return { name: `'${url}'`, fetch: (layer, work) => foreignBlob(url, layer, work) };
  });
  return isForeignLayer(mediaType) ? [...foreign, own] : [own, ...foreign];
}

async function fetchLayer(source: OciSource, root: Fd, missing: MissingLayer, work: FetchWork): Promise<void> {
  const places = placesOf(source, missing.layer);
  for (let place = places.shift(); place !== undefined; place = places.shift()) {
    try {
      await fetchFrom(place, root, missing, work);
      return;
    } catch (error) {
      const next = places[0];
      if (next === undefined || isFault(error)) throw error;
      log("notice", `${place.name}: ${(error as Error).message} Trying ${next.name}.`);
    }
  }
}

/** Whether another place would not do better: what has no errno is a fault of this program, and a disk does not grow. */
function isFault(error: unknown): boolean {
  return [null, "ENOSPC", "EDQUOT", "EROFS"].includes(errnoNameOf(error));
}

async function fetchFrom(
  place: Place,
  root: Fd,
  { layer, content }: MissingLayer,
  { options, count, held }: FetchWork,
): Promise<void> {
  using stage = Stage.tree(root, "oci", options.btrfsSubvolume);
  const isHere = () => exists(root, layerName(layer.digest));
  const take: Taker = async (chunks) => {
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
    // For whoever pushes the layer again: a configuration may say anything.
    setMark(stage.file, "content", Buffer.from(found));
    if (!(await installLayer(root, layerName(layer.digest), stage, { options, held }))) return;
    log("info", `Acquired layer ${layer.digest}.`);
  };
  await place.fetch(layer, { root, take, isHere });
}

/** Returns false when another transfer has made the same layer meanwhile. */
async function installLayer(
  root: Fd,
  name: string,
  stage: Stage,
  { options, held }: Pick<LayerWork, "options" | "held">,
): Promise<boolean> {
  while (!(await held.hold(name))) {
    await held.holdNew(name, stage.file);
    if (!exists(root, name)) {
      stage.install(name, { force: false, readOnly: true, sync: options.sync, locks: options.locks });
      return true;
    }
    held.release(name);
  }
  return false;
}

function requireSame({ digest, size }: Descriptor, foundSize: number, found: string): void {
  if (found === digest && foundSize === size) return;
  throw new ErrnoError("EBADMSG", `DOWNLOAD INVALID: Layer expected ${digest}, got ${found}`);
}

async function* tapped(chunks: Chunks, tap: (chunk: Buffer) => void): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    tap(chunk);
    yield chunk;
  }
}

async function unpackLayer(source: Chunks, top: Fd, options: WorkerOptions): Promise<void> {
  const policy = { ...unpackOptions(options), ...layerOptions(top) };
  await unpackPlainTar(source, top, policy, LAYER_LIMIT_BYTES, (untar) => new LayerTarget(untar));
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
    transferBudget.part(root).entered(content.length);
    writeFileSync(stage.file.number, content);
    stage.putFile(name, options);
  }
}
