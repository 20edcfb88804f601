// `systemd-import tar`: an archive, compressed or not, becomes a tree.
import { basename, dirname, join } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { pathOf } from "../../kernel/file/attributes.ts";
import { type Fd, openPath, statAt } from "../../kernel/file/fd.ts";
import { EEXIST } from "../../kernel/syscall/constants.ts";
import { check } from "../../kernel/syscall/sys.ts";
import { createSubvolume, isBtrfs } from "../../kernel/tree/btrfs.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { rawOf } from "../../kernel/tree/tree.ts";
import { keepSpace } from "../../registry/image/pool.ts";
import { mountsBelow } from "../../registry/mounts.ts";
import { transferBudget } from "../program/budget.ts";
import type { WorkerOptions } from "../program/options.ts";
import { type Chunks, workerTurns } from "../stream/archive.ts";
import { giveBack } from "../stream/chunk-memory.ts";
import { decompress } from "../stream/compression.ts";
import type { TarTarget } from "../tar/entry.ts";
import { END_MARK } from "../tar/writer.ts";
import { tryMakeDirectory } from "../untar/calls.ts";
import { Unpacker } from "../untar/unpacker.ts";
import type { Untar, UntarOptions } from "../untar/untar.ts";
import { InPlace } from "./in-place.ts";
import { liftOsTree } from "./os-tree.ts";
import { exists } from "./stage.ts";

/** The maximum size of an image's tree; a larger archive is refused as a decompression bomb. */
const CONTENT_LIMIT_BYTES = 1024 ** 4;
/** How many bytes are unpacked at a time: between two steps the decoder can continue. */
const STEP_BYTES = 128 << 10;
const SQUASH_FROM = 65536;
const NOBODY = 65534;
const TOP_MODE = 0o755;

/** Returns the rules for unpacking in a scope: unprivileged users can make neither devices nor files of other users. */
export function unpackOptions({ scope }: Pick<WorkerOptions, "scope">): UntarOptions {
  if (scope === "system") return { topMode: TOP_MODE };
  return { topMode: TOP_MODE, refuseDevices: true, mapId: (id) => (id >= SQUASH_FROM ? NOBODY : id) };
}

/** Unpacks the archive `source`, compressed or not, into the empty directory `top`. */
export function unpackTar(
  source: Chunks,
  top: Fd,
  options?: UntarOptions,
  limitBytes?: number,
  target?: (untar: Untar) => TarTarget,
): Promise<void> {
  return unpackPlainTar(decompress(source), top, options, limitBytes, target);
}

/**
 * Unpacks an archive that is not compressed. With `mayBeNothing`, no bytes at all are an archive without members, which
 * otherwise are a failure of the program that they are from.
 */
export async function unpackPlainTar(
  source: Chunks,
  top: Fd,
  options: UntarOptions = {},
  limitBytes: number = CONTENT_LIMIT_BYTES,
  target?: (untar: Untar) => TarTarget,
  { mayBeNothing = false } = {},
): Promise<void> {
  const spending = transferBudget.part(top, { limitBytes });
  using unpacker = new Unpacker(top, { ...options, spending }, target);
  const turns = workerTurns();
  let decoded = 0;
  for await (const chunk of source) {
    decoded += chunk.length;
    // Skipped members are not written, but their time counts.
    if (decoded > limitBytes) throw new ErrnoError("EFBIG", "File overly large, refusing.");
    for (let at = 0; at < chunk.length; at += STEP_BYTES) {
      unpacker.push(chunk.subarray(at, at + STEP_BYTES));
      await turns.pass();
    }
    giveBack(chunk);
  }
  if (decoded === 0 && mayBeNothing) unpacker.push(END_MARK);
  for (const _ of unpacker.ending()) await turns.pass();
}

/** As `unpackTar()`; then moves an OS tree that is in a single directory of the archive to the top. */
export async function importTree(source: Chunks, top: Fd, options: WorkerOptions): Promise<void> {
  await unpackTar(source, top, unpackOptions(options));
  liftOsTree(top);
}

function isTree(parent: Fd, name: string): boolean {
  return exists(parent, name) && statAt(parent, name, "no-follow").kind === "directory";
}

/**
 * Locks the directory that a direct import writes to; makes a missing one; with `force`, replaces an existing one.
 * Throws `EBUSY` when it is in use.
 */
export function openDirectTree(path: string, { force, btrfsSubvolume, locks }: WorkerOptions): InPlace {
  return InPlace.open(locks, path, () => {
    using parent = openPath(dirname(path), "directory");
    const name = basename(path);
    // Only a tree is replaced by a tree: a link, a file or a device of that name is kept.
    if (force && isTree(parent, name)) {
      const mounted = mountsBelow(join(pathOf(parent), name));
      if (mounted.length > 0) throw new ErrnoError("EBUSY", `'${path}' is in use: '${mounted[0]}' is a mount point.`);
      removeTree(parent, rawOf(name));
    }
    const isSubvolume = btrfsSubvolume && isBtrfs(parent) && !exists(parent, name);
    if (isSubvolume) createSubvolume(parent, name);
    else {
      const result = tryMakeDirectory(parent, rawOf(name), TOP_MODE);
      if (result !== EEXIST) check(result, "mkdir", path);
    }
    const tree = openPath(path, "directory");
    if (isSubvolume) keepSpace(null, tree);
    return tree;
  });
}
