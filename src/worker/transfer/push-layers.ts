// The layers of an image that is pushed: one layer of all its files, or, with --base, the layers of another image and
// the difference to it. The layers of a pulled stack are known by their digests: where the registry has all of them,
// they are not packed again.
import { basename, dirname, join } from "node:path";
import type { LayerCompression } from "../../base/vocabulary/compression.ts";
import { LAYER_COMPRESSIONS } from "../../base/vocabulary/compression.ts";
import { isOciDigest } from "../../base/vocabulary/oci-reference.ts";
import { type Fd, openAt, readLinkAt } from "../../kernel/file/fd.ts";
import { readSettingsIfThere } from "../../kernel/file/foreign-file.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import type { Stage } from "../image/stage.ts";
import type { PushedLayer } from "../oci/image-config.ts";
import { markOf } from "../oci/marks.ts";
import { layerPolicy, type PackedLayer, packLayer } from "../oci/pack-layer.ts";
import type { PushTarget } from "../oci/push-target.ts";
import type { LayerMounts } from "../oci/repositories.ts";
import { isWritten, layersOfStack, type StackPart, treeOfStack } from "../oci/stack-tree.ts";
import { log } from "../program/log.ts";
import type { WorkerOptions } from "../program/options.ts";
import { detectCompression } from "../stream/compression.ts";
import { differenceChunks } from "../tar/difference.ts";
import { tarChunks } from "../tar/pack.ts";
import { HeldTree } from "./export-source.ts";

const CONFIG_LIMIT_BYTES = 4 << 20;
const STACK_SUFFIX = ".mstack";
const LAYER_LINK = /^\.\.\/\.oci-(sha256:[0-9a-f]{64})$/;
const ALL = "all files";
const DIFFERENCE = "the difference to the layers below";

interface PushOrder {
  readonly path: string;
  /** The image of --base, whose layers are the lower ones; null where there is none. */
  readonly basePath: string | null;
  readonly compression: LayerCompression;
  readonly mounts: LayerMounts;
  readonly options: WorkerOptions;
}

/** The layers of an image, the lowest first. */
interface PushLayers extends Disposable {
  readonly layers: readonly PushedLayer[];
  /** The layers that were packed here; the registry has the others. */
  readonly packed: readonly PackedLayer[];
}

/** Makes the layers of an image. Their files are in `root`, and are removed when the result is disposed of. */
export async function layersFor(target: PushTarget, root: Fd, order: PushOrder): Promise<PushLayers> {
  using made = new DisposableStack();
  const packer = new Packer(target, root, order, made);
  using tree = new ImageTree(root, order.path, order.options);
  if (order.basePath === null) {
    await packer.own(tree);
  } else {
    using base = new ImageTree(root, order.basePath, order.options);
    await packer.own(base);
    await packer.difference(base, tree);
    base.requireThere();
  }
  tree.requireThere();
  const { layers, packed } = packer;
  const kept = made.move();
  return { layers, packed, [Symbol.dispose]: () => kept[Symbol.dispose]() };
}

type PulledLayer = Pick<PushedLayer, "digest" | "diffId">;

class Packer {
  readonly layers: PushedLayer[] = [];
  readonly packed: PackedLayer[] = [];
  readonly #target: PushTarget;
  readonly #root: Fd;
  readonly #order: PushOrder;
  readonly #owner: DisposableStack;

  constructor(target: PushTarget, root: Fd, order: PushOrder, owner: DisposableStack) {
    this.#target = target;
    this.#root = root;
    this.#order = order;
    this.#owner = owner;
  }

  /** Adds all layers of an image. */
  async own(tree: ImageTree): Promise<void> {
    const known = await this.#known(tree);
    if (known === null) return this.#pack(tarChunks(await tree.file(), layerPolicy()), ALL);
    this.layers.push(...known);
    if (!isWritten(tree.path)) return;
    using below = new ImageTree(this.#root, tree.path, this.#order.options, "layers");
    await this.difference(below, tree);
  }

  async difference(base: ImageTree, tree: ImageTree): Promise<void> {
    await this.#pack(differenceChunks(await base.file(), await tree.file(), layerPolicy()), DIFFERENCE);
  }

  async #pack(archive: Iterable<Buffer>, comment: string): Promise<void> {
    const { compression } = this.#order;
    const layer = this.#owner.use(await packLayer(archive, this.#root, { compression, comment }));
    this.layers.push(layer);
    this.packed.push(layer);
  }

  /** Returns the layers of a pulled stack where the registry has all of them; null otherwise. */
  async #known(tree: ImageTree): Promise<PushedLayer[] | null> {
    const known: PushedLayer[] = [];
    for (const layer of tree.pulledLayers() ?? []) {
      const found = await this.#found(layer.digest);
      const compression = LAYER_COMPRESSIONS.find((one) => found !== null && one === detectCompression(found.head));
      if (found === null || compression === undefined) return null;
      known.push({ ...layer, size: found.size, compression, comment: "as pulled" });
    }
    for (const { digest } of known) log("info", `The registry has layer ${digest} already.`);
    return known.length === 0 ? null : known;
  }

  async #found(digest: string): Promise<Awaited<ReturnType<PushTarget["describe"]>>> {
    const found = await this.#target.describe(digest);
    if (found !== null || !(await this.#order.mounts.mount(digest, null))) return found;
    return this.#target.describe(digest);
  }
}

/** The tree of an image. That of a stack is merged at the first use, into a temporary tree. */
class ImageTree implements Disposable {
  readonly path: string;
  readonly #root: Fd;
  readonly #held: HeldTree;
  readonly #options: WorkerOptions;
  readonly #part: StackPart;
  #merged: Stage | null = null;

  constructor(root: Fd, path: string, options: WorkerOptions, part: StackPart = "all") {
    this.path = path;
    this.#root = root;
    this.#options = options;
    this.#part = part;
    this.#held = HeldTree.open(path);
  }

  get #isStack(): boolean {
    return this.path.endsWith(STACK_SUFFIX);
  }

  async file(): Promise<Fd> {
    if (!this.#isStack) return this.#held.file;
    const stack = { stack: this.#held.file, path: this.path, part: this.#part };
    this.#merged ??= await treeOfStack(this.#root, stack, this.#options);
    return this.#merged.file;
  }

  /** Returns the layers of a pulled stack, the lowest first; null for any other image. */
  pulledLayers(): PulledLayer[] | null {
    if (!this.#isStack) return null;
    const layers = layersOfStack(this.#held.file, this.path).map((name) => pulledLayer(this.#held.file, name));
    return layers.every((layer) => layer !== null) ? layers : null;
  }

  requireThere(): void {
    this.#held.requireThere();
  }

  [Symbol.dispose](): void {
    this.#merged?.[Symbol.dispose]();
    this.#held[Symbol.dispose]();
  }
}

/**
 * Returns a pulled layer: its digest is in the target of the link, that of its content in a mark that the pull has set.
 * Else null.
 */
function pulledLayer(stack: Fd, name: string): PulledLayer | null {
  const digest = linkIn(stack, name)?.match(LAYER_LINK)?.[1];
  if (digest === undefined) return null;
  using layer = openAt(stack, name, "directory");
  const diffId = markOf(layer, "content")?.toString();
  return isOciDigest(diffId) ? { digest, diffId } : null;
}

/** Returns the target of a link; null for a directory, which a merged layer of a stack is. */
function linkIn(stack: Fd, name: string): string | null {
  try {
    return readLinkAt(stack, name);
  } catch (error) {
    if (isErrno(error, "EINVAL")) return null;
    throw error;
  }
}

/** Returns the configuration of the container image that was pulled as this image; null for any other image. */
export function knownConfig(path: string): Promise<Buffer | null> {
  const name = basename(path).replace(/\.mstack$/, "");
  return readSettingsIfThere(join(dirname(path), `${name}.oci-config`), CONFIG_LIMIT_BYTES);
}
