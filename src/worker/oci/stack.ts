// Whether layers can be stacked as they are. Overlayfs shows the properties of a directory in the topmost layer, and
// cannot link a file of one layer under a name in another: a layer that depends on the layers below in this way has a
// mark, and here it is checked whether that matters for the layers below it in this image.

import type { Turns } from "../../base/turns.ts";
import { attributeNames } from "../../kernel/file/attributes.ts";
import { type Fd, openAt, openBeneath } from "../../kernel/file/fd.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { openDirectory, openEntry, type RawName, rawOf, readSomeEntries, textOf } from "../../kernel/tree/tree.ts";
import { workerTurns } from "../stream/archive.ts";
import { isOverlayAttribute, markOf } from "./marks.ts";

const status = new RawStatus();

/**
 * Returns the names of the layers that a machine can see, the lowest first. Those below the last layer whose top is
 * opaque are left out: overlayfs ignores that mark at the top of a layer. Of a layer that an image has several times,
 * such as the empty one of many builders, only the uppermost stays: it hides the others, and overlayfs does not mount a
 * directory twice (ELOOP).
 */
export function visibleLayers(root: Fd, names: readonly string[]): string[] {
  const lowest = names.findLastIndex((name) => {
    using top = openAt(root, name, "directory");
    return markOf(top, "opaque") !== null;
  });
  return names.slice(Math.max(lowest, 0)).filter((name, index, all) => all.lastIndexOf(name) === index);
}

/** Whether each layer is complete without the parts that it takes from those below. */
export async function standAlone(root: Fd, names: readonly string[]): Promise<boolean> {
  using owner = new DisposableStack();
  const layers = names.map((name) => owner.use(openAt(root, name, "directory")));
  const turns = workerTurns();
  for (const [index, layer] of layers.entries()) {
    if (markOf(layer, "incomplete") === null) continue;
    if (!(await isComplete(layer, [], { below: layers.slice(0, index).reverse(), turns }))) return false;
  }
  return true;
}

interface Below {
  /** The layers below, the uppermost first. */
  readonly below: readonly Fd[];
  readonly turns: Turns;
}

async function isComplete(directory: Fd, path: readonly RawName[], { below, turns }: Below): Promise<boolean> {
  const isImplied = markOf(directory, "implied") !== null;
  if (isImplied && !(await isSameBelow(directory, path, { below, turns }))) return false;
  // An opaque directory is not merged with those below, and neither is what it contains. The top is always merged.
  const merged = { below: path.length > 0 && markOf(directory, "opaque") !== null ? [] : below, turns };
  using listing = openDirectory(directory, ".");
  let some = readSomeEntries(listing);
  // A directory that is only there to hide others is nothing where there is none below.
  if (isImplied && path.length > 0 && some.length === 0 && !(await isMerged(path, { below, turns }))) return false;
  // Asked once for all whiteouts in the directory: there may be millions of them, over thousands of layers.
  let known: Promise<boolean> | null = null;
  const hides = () => (known ??= isMerged(path, merged));
  for (; some.length > 0; some = readSomeEntries(listing)) {
    for (const { name } of some) {
      if (!(await isEntryComplete(directory, [...path, name], merged, hides))) return false;
      await turns.pass();
    }
  }
  return true;
}

async function isEntryComplete(
  parent: Fd,
  path: readonly RawName[],
  merged: Below,
  hides: () => Promise<boolean>,
): Promise<boolean> {
  const name = path.at(-1) ?? ".";
  using entry = openEntry(parent, name);
  const { kind, deviceNumber } = status.readFd(entry);
  if (kind === "regular") return markOf(entry, "hardlink") === null;
  if (kind === "character" && deviceNumber === 0) return hides();
  if (kind !== "directory") return true;
  using directory = openDirectory(parent, name);
  return await isComplete(directory, path, merged);
}

/**
 * Whether overlayfs merges the directory at a path with one below. It shows the names of whiteouts in all other
 * directories, although there are no files of these names: such a directory cannot be copied or removed by most
 * programs.
 */
async function isMerged(path: readonly RawName[], { below, turns }: Below): Promise<boolean> {
  for (const layer of below) {
    await turns.pass();
    for (let depth = path.length; depth >= 0; depth--) {
      const found = entryBelow(layer, path.slice(0, depth));
      if (found === "nothing") continue;
      if (found === "obstacle") return false;
      using entry = found;
      if (status.readFd(entry).kind !== "directory") return false;
      if (depth === path.length) return true;
      // The directory is not in this layer, which may hide it in those below.
      if (depth > 0 && markOf(entry, "opaque") !== null) return false;
    }
  }
  return false;
}

/** Whether the directory below, if there is one, has the same properties as the one that hides it. */
async function isSameBelow(directory: Fd, path: readonly RawName[], { below, turns }: Below): Promise<boolean> {
  for (const layer of below) {
    await turns.pass();
    const found = entryBelow(layer, path);
    if (found === "nothing") continue;
    if (found === "obstacle") return false;
    using other = found;
    const { kind, deviceNumber } = status.readFd(other);
    if (kind === "character" && deviceNumber === 0) return true;
    if (kind !== "directory") return false;
    if (markOf(other, "implied") === null) return describe(other) === describe(directory);
    if (markOf(other, "opaque") !== null) return true;
  }
  return true;
}

function entryBelow(layer: Fd, path: readonly RawName[]): Fd | "nothing" | "obstacle" {
  if (path.length === 0) return layer.duplicate();
  const text = textOf(path.join("/"));
  if (rawOf(text) !== path.join("/")) return "obstacle";
  try {
    return openBeneath(layer, text, "path-no-follow");
  } catch (error) {
    if (isErrno(error, "ENOENT")) return "nothing";
    // A component is a link or a file, or the path is too long for one call. A name that is not UTF-8 counts as an
    // obstacle, too.
    if (isErrno(error, "ENOTDIR", "ELOOP", "ENAMETOOLONG")) return "obstacle";
    throw error;
  }
}

function describe(directory: Fd): string {
  const { mode, uid, gid } = status.readFd(directory);
  const attributes = attributeNames(directory).filter((name) => !isOverlayAttribute(name) && name !== LABEL);
  return JSON.stringify([mode, uid, gid, attributes.sort()]);
}

/** SELinux labels are set by the kernel's policy for each file. */
const LABEL = "security.selinux";
