// systemd-export oci IMAGE REF: pushes the tree of an image to a registry, as layers of a container image. Layers that
// the registry has are not sent again: equal trees make equal layers, because archives are sorted and compressed
// without times.
import { ErrnoError } from "../../base/error.ts";
import { formatBytes, formatSpan } from "../../base/text/format.ts";
import { LAYER_COMPRESSIONS, type LayerCompression } from "../../base/vocabulary/compression.ts";
import { statPath } from "../../kernel/file/fd.ts";
import { type OciAddress, requirePushReference, resolveReference } from "../../oci/reference.ts";
import { openImageRoot } from "../image/stage.ts";
import { imageRootOf } from "../image/target.ts";
import { configOf, manifestOf } from "../oci/image-config.ts";
import { loginOf } from "../oci/login.ts";
import type { PackedLayer } from "../oci/pack-layer.ts";
import { PushTarget } from "../oci/push-target.ts";
import { OciRegistry } from "../oci/registry.ts";
import { LayerMounts, noteRepository } from "../oci/repositories.ts";
import { blobInFile, blobInMemory } from "../oci/upload.ts";
import { log } from "../program/log.ts";
import type { CommandLine, WorkerOptions } from "../program/options.ts";
import { Progress } from "../program/progress.ts";
import { pathOfImage } from "./export-source.ts";
import { knownConfig, layersFor } from "./push-layers.ts";
import { sweepOrphans } from "./remove-orphans.ts";

/** The progress in percent after packing and after sending. The time of packing is not known in advance. */
const [PACKED_PERCENT, SENT_PERCENT] = [5, 95];

/** Runs the verb. */
export async function pushOci({ options, words }: CommandLine): Promise<void> {
  const [name = "", text = ""] = words;
  const login = loginOf(options);
  const compression = compressionOf(options);
  const address = await addressOf(text);
  const path = pathOfImage(name, options);
  requireTree(path);
  const basePath = options.base === null ? null : pathOfBase(options.base, path, options);
  const reference = `${address.registry}/${address.image}:${address.version}`;
  log("info", `Pushing '${path}' to '${reference}' with compression '${compression}'.`);
  const target = new PushTarget(new OciRegistry(address, { ...login, pushes: true }));
  const progress = new SentProgress(reference);
  await target.open();
  using root = openImageRoot(imageRootOf(options));
  sweepOrphans(root, options.locks);
  const mounts = new LayerMounts(root, target, address);
  using made = await layersFor(target, root, { path, basePath, compression, mounts, options });
  await sendLayers(target, mounts, made.packed, progress);
  const config = configOf(made.layers, await knownConfig(path));
  if (!(await target.has(config.digest, config.bytes.length)))
    await target.upload(blobInMemory(config.bytes, config.digest));
  const manifest = manifestOf(made.layers, config);
  await target.tag(manifest);
  await target.close();
  noteRepository(
    root,
    address,
    made.layers.map(({ digest }) => digest),
  );
  log("info", `Pushed '${reference}' as ${manifest.digest}.`);
}

async function addressOf(text: string): Promise<OciAddress> {
  const address = await resolveReference(requirePushReference(text));
  if (address.protocol !== "file") return address;
  throw new ErrnoError(
    "EPROTONOSUPPORT",
    `'${text}' is a directory of this host (oci-registry settings), and images can be pushed to registries only: use pull-oci to read it, export-tar to write a file.`,
  );
}

function compressionOf({ format }: WorkerOptions): LayerCompression {
  const known = LAYER_COMPRESSIONS.find((one) => one === (format || LAYER_COMPRESSIONS[0]));
  if (known !== undefined) return known;
  throw new ErrnoError(
    "EINVAL",
    `Layers of container images are compressed with ${LAYER_COMPRESSIONS.join(" or ")}, not with '${format}'.`,
  );
}

/**
 * Returns the path of the image of --base. Throws EINVAL for the pushed image itself, which has no difference to
 * itself.
 */
function pathOfBase(name: string, path: string, options: WorkerOptions): string {
  const base = pathOfImage(name, options);
  requireTree(base);
  if (base === path)
    throw new ErrnoError(
      "EINVAL",
      `Image '${name}' cannot be the base of itself: --base= names another image, whose content becomes the first layer.`,
    );
  return base;
}

function requireTree(path: string): void {
  const { kind } = statPath(path);
  if (kind === "directory") return;
  throw new ErrnoError(
    "EOPNOTSUPP",
    `'${path}' is a disk image: only trees of files can be pushed as container images, disk images are exported with export-raw.`,
  );
}

/** Sends the layers that the registry lacks. */
async function sendLayers(
  target: PushTarget,
  mounts: LayerMounts,
  layers: readonly PackedLayer[],
  progress: SentProgress,
): Promise<void> {
  const missing: PackedLayer[] = [];
  for (const layer of layers) {
    if (await target.has(layer.digest, layer.size)) log("info", `The registry has layer ${layer.digest} already.`);
    else if (!(await mounts.mount(layer.digest, layer.size))) missing.push(layer);
  }
  progress.begin(missing.reduce((sum, { size }) => sum + size, 0));
  let done = 0;
  for (const layer of missing) {
    log("info", `Sending layer ${layer.digest} (${formatBytes(BigInt(layer.size))}).`);
    await target.upload(blobInFile(layer.file, layer), (offset) => progress.sent(done + offset));
    done += layer.size;
  }
  progress.end();
}

/** Reports how much was sent, and how long the rest will take. */
class SentProgress {
  readonly #progress: Progress;
  #since = 0;
  #bytes = 0;
  #size = 0;

  constructor(reference: string) {
    this.#progress = new Progress((percent) =>
      this.#bytes === 0 ? null : `Sent ${percent}% of ${reference}.${this.#rate()}`,
    );
    this.#progress.stage(0);
  }

  begin(size: number): void {
    this.#since = performance.now();
    this.#size = size;
    this.#progress.stage(PACKED_PERCENT);
  }

  sent(bytes: number): void {
    this.#bytes = bytes;
    this.#progress.report(PACKED_PERCENT + (bytes / this.#size) * (SENT_PERCENT - PACKED_PERCENT));
  }

  end(): void {
    this.#progress.stage(SENT_PERCENT);
  }

  #rate(): string {
    const perSecond = this.#bytes / ((performance.now() - this.#since) / 1000);
    if (perSecond < 1) return "";
    const left = BigInt(Math.ceil((this.#size - this.#bytes) / perSecond)) * 1_000_000n;
    return ` ${formatSpan(left)} left at ${formatBytes(BigInt(Math.round(perSecond)))}/s.`;
  }
}
