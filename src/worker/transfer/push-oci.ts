// systemd-export oci IMAGE REF: the tree of an image becomes a layer of a container image in a registry. What the registry has
// already is not sent again: the same tree is always the same layer.
import { basename, dirname, join } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { formatBytes, formatSpan } from "../../base/format.ts";
import { LAYER_COMPRESSIONS, type LayerCompression } from "../../base/vocabulary/compression.ts";
import { type Fd, statPath } from "../../kernel/file/fd.ts";
import { readSettings } from "../../kernel/file/foreign-file.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import { type OciAddress, requirePushReference, resolveReference } from "../../oci/reference.ts";
import { openImageRoot } from "../image/stage.ts";
import { imageRootOf } from "../image/target.ts";
import { configOf, manifestOf } from "../oci/image-config.ts";
import { loginOf } from "../oci/login.ts";
import { layerPolicy, type PackedLayer, packLayer } from "../oci/pack-layer.ts";
import { PushTarget } from "../oci/push-target.ts";
import { OciRegistry } from "../oci/registry.ts";
import { treeOfStack } from "../oci/stack-tree.ts";
import { blobInFile, blobInMemory } from "../oci/upload.ts";
import { log } from "../program/log.ts";
import type { CommandLine, WorkerOptions } from "../program/options.ts";
import { Progress } from "../program/progress.ts";
import { tarChunks } from "../tar/pack.ts";
import { HeldTree, pathOfImage } from "./export-source.ts";
import { sweepOrphans } from "./remove-orphans.ts";

const CONFIG_LIMIT_BYTES = 4 << 20;
const STACK_SUFFIX = ".mstack";
/** How much there is to pack is not known before: what is told is how much is sent. */
const [PACKED_PERCENT, SENT_PERCENT] = [5, 95];

/** Runs the verb. */
export async function pushOci({ options, words }: CommandLine): Promise<void> {
  const [name = "", text = ""] = words;
  const login = loginOf(options);
  const compression = compressionOf(options);
  const address = await addressOf(text);
  const path = pathOfImage(name, options);
  requireTree(path);
  const reference = `${address.registry}/${address.image}:${address.version}`;
  log("info", `Pushing '${path}' to '${reference}' with compression '${compression}'.`);
  const target = new PushTarget(new OciRegistry(address, { ...login, pushes: true }));
  const progress = new SentProgress(reference);
  await target.open();
  using root = openImageRoot(imageRootOf(options));
  sweepOrphans(root);
  using layer = await layerOf(root, path, compression, options);
  await sendLayer(target, layer, progress);
  const config = configOf([layer], await knownConfig(path));
  if (!(await target.has(config.digest, config.bytes.length)))
    await target.upload(blobInMemory(config.bytes, config.digest));
  const manifest = manifestOf([layer], config);
  await target.tag(manifest);
  await target.close();
  log("info", `Pushed '${reference}' as ${manifest.digest}.`);
}

async function addressOf(text: string): Promise<OciAddress> {
  const address = await resolveReference(requirePushReference(text));
  if (address.protocol !== "file") return address;
  throw new ErrnoError(
    "EPROTONOSUPPORT",
    `'${text}' is a directory of this host, images are pushed to registries only.`,
  );
}

function compressionOf({ format }: WorkerOptions): LayerCompression {
  const known = LAYER_COMPRESSIONS.find((one) => one === (format || LAYER_COMPRESSIONS[0]));
  if (known !== undefined) return known;
  throw new ErrnoError(
    "EINVAL",
    `Layers are compressed with ${LAYER_COMPRESSIONS.join(" or ")}, not with '${format}'.`,
  );
}

function requireTree(path: string): void {
  const { kind } = statPath(path);
  if (kind === "directory") return;
  throw new ErrnoError(
    "EOPNOTSUPP",
    `'${path}' is a disk image: only trees of files can be pushed as container images, disk images are exported with export-raw.`,
  );
}

/** Packs the image at `path`; the file is in `root`, as everything that this makes. */
async function layerOf(
  root: Fd,
  path: string,
  compression: LayerCompression,
  options: WorkerOptions,
): Promise<PackedLayer> {
  using held = HeldTree.open(path);
  const isStack = path.endsWith(STACK_SUFFIX);
  using merged = isStack ? await treeOfStack(root, held.file, path, options) : null;
  const archive = tarChunks(merged?.file ?? held.file, layerPolicy());
  using made = new DisposableStack();
  const layer = made.use(await packLayer(archive, root, { compression, comment: "a whole tree" }));
  held.requireThere();
  made.move();
  return layer;
}

/** What the image was run with as a container, where it was pulled as one. */
async function knownConfig(path: string): Promise<Buffer | null> {
  const name = basename(path).replace(/\.mstack$/, "");
  try {
    return await readSettings(join(dirname(path), `${name}.oci-config`), CONFIG_LIMIT_BYTES);
  } catch (error) {
    if (isErrno(error, "ENOENT")) return null;
    throw error;
  }
}

async function sendLayer(target: PushTarget, layer: PackedLayer, progress: SentProgress): Promise<void> {
  const { digest, size } = layer;
  if (await target.has(digest, size)) {
    log("info", `The registry has layer ${digest} already.`);
  } else {
    log("info", `Sending layer ${digest} (${formatBytes(BigInt(size))}).`);
    progress.begin(size);
    await target.upload(blobInFile(layer.file, layer), (offset) => progress.sent(offset));
  }
  progress.end();
}

/** Tells how much is sent, and how long the rest will take. */
class SentProgress {
  readonly #progress: Progress;
  #since = 0;
  #bytes = 0;
  #size = 0;

  constructor(reference: string) {
    this.#progress = new Progress((percent) =>
      this.#size === 0 ? null : `Sent ${percent}% of ${reference}.${this.#rate()}`,
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
