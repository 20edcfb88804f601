// The layers of a container image that is pulled: missing ones are downloaded, verified while they are unpacked, and
// kept under their digests. Layers are shared by all images.
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { ChangedError } from "../download/retry.ts";
import { exists, Stage } from "../image/stage.ts";
import { unpackOptions, unpackPlainTar } from "../image/unpack-tar.ts";
import type { HeldLayers } from "../oci/held-layers.ts";
import { LayerRules } from "../oci/layer.ts";
import { type Descriptor, isForeignLayer } from "../oci/manifest.ts";
import { setMark } from "../oci/marks.ts";
import { type BlobWork, foreignBlob, type OciSource, type Taker } from "../oci/source.ts";
import { log } from "../program/log.ts";
import type { WorkerOptions } from "../program/options.ts";
import type { Progress } from "../program/progress.ts";
import type { Chunks } from "../stream/archive.ts";
import { decompress } from "../stream/compression.ts";

const PARALLEL = 5;
const LAYER_LIMIT_BYTES = 64 * 1024 ** 3;

/** Returns the name of the directory of a layer. */
export function layerName(digest: string): string {
  return `.oci-${digest}`;
}

interface LayerWork {
  readonly options: WorkerOptions;
  /** The digests of the unpacked layers, in the same order; null where the image has none. */
  readonly contents: readonly string[] | null;
  readonly progress: Progress;
  readonly held: HeldLayers;
}

interface MissingLayer {
  readonly layer: Descriptor;
  /** The digest of the unpacked content; null where the image has none. */
  readonly content: string | null;
}

interface FetchWork {
  readonly options: WorkerOptions;
  readonly held: HeldLayers;
  readonly count: (bytes: number) => void;
}

/** The share of the download in the progress of a pull, in percent. */
export const DOWNLOAD_SHARE = 95;

/** Downloads the missing layers, PARALLEL of them at a time; a repeated layer is downloaded once. */
export async function fetchLayers(
  source: OciSource,
  root: Fd,
  layers: readonly Descriptor[],
  work: LayerWork,
): Promise<void> {
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

/**
 * Returns the sources of a layer's bytes, in the order in which they are tried. Foreign layers are mostly not in the
 * registry.
 */
function placesOf(source: OciSource, { mediaType, urls }: Descriptor): Place[] {
  const own: Place = { name: source.name, fetch: (layer, work) => source.blob(layer, work) };
  const foreign = urls.map((url): Place => {
    return { name: `'${url}'`, fetch: (layer, work) => foreignBlob(url, layer, work) };
  });
  return isForeignLayer(mediaType) ? [...foreign, own] : [own, ...foreign];
}

/** How often a layer is fetched from its beginning because the server did not go on with what was received. */
const CHANGES = 3;

async function fetchLayer(source: OciSource, root: Fd, missing: MissingLayer, work: FetchWork): Promise<void> {
  const places = placesOf(source, missing.layer);
  let changes = 0;
  for (let place = places.shift(); place !== undefined; place = places.shift()) {
    try {
      await fetchFrom(place, root, missing, work);
      // Another transfer may have made the layer meanwhile: nobody may remove it until the image is complete.
      if (await work.held.hold(layerName(missing.layer.digest))) return;
      places.unshift(place);
    } catch (error) {
      // A layer does not change; but each of several servers behind one address may have a tag of its own for it.
      if (error instanceof ChangedError && changes++ < CHANGES) {
        log("notice", `${error.message}, starting again.`);
        places.unshift(place);
        continue;
      }
      const next = places[0];
      if (next === undefined || isFault(error)) throw error;
      log("notice", `${place.name}: ${(error as Error).message} Trying ${next.name}.`);
    }
  }
}

/** Whether no other source would help: for a bug of this program (no errno), or a disk that is full or read-only. */
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
    for await (const _ of counted); // The digest covers data after the end of the archive, too.
    requireSame(layer, size, `sha256:${packed.digest("hex")}`);
    const found = `sha256:${plain.digest("hex")}`;
    if (content !== null && content !== found) {
      throw new ErrnoError("EBADMSG", `DOWNLOAD INVALID: Content of layer ${layer.digest} is not what the image says`);
    }
    // A later push uses this digest, because that in the configuration was not necessarily compared.
    setMark(stage.file, "content", Buffer.from(found));
    if (!(await installLayer(root, layerName(layer.digest), stage, { options, held }))) return;
    log("info", `Acquired layer ${layer.digest}.`);
  };
  await place.fetch(layer, { root, take, isHere });
}

/** Renames a layer to its name; returns false when another transfer has made the same layer meanwhile. */
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
  const what = found === digest ? `${foundSize} bytes instead of ${size}` : found;
  throw new ErrnoError("EBADMSG", `DOWNLOAD INVALID: Layer expected ${digest}, got ${what}`);
}

async function* tapped(chunks: Chunks, tap: (chunk: Buffer) => void): AsyncGenerator<Buffer> {
  for await (const chunk of chunks) {
    tap(chunk);
    yield chunk;
  }
}

async function unpackLayer(source: Chunks, top: Fd, options: WorkerOptions): Promise<void> {
  using rules = new LayerRules(top);
  const settings = { ...unpackOptions(options), ...rules.options };
  // Some builders make layers of no bytes. A layer that was cut off has another digest.
  await unpackPlainTar(source, top, settings, LAYER_LIMIT_BYTES, rules.target, { mayBeNothing: true });
}
