// Renames an image or a file to a name that may be taken: the one to replace is checked and locked first.
import { join } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { randomHex } from "../../base/random-hex.ts";
import { makeMutable, pathOf } from "../../kernel/file/attributes.ts";
import { type Fd, statAt } from "../../kernel/file/fd.ts";
import { isAt, lockWhole } from "../../kernel/file/lock.ts";
import type { FileStatus } from "../../kernel/file/status.ts";
import { EINVAL, EPERM } from "../../kernel/syscall/constants.ts";
import { check, isErrno, SyscallError, trySys, unlessErrno } from "../../kernel/syscall/sys.ts";
import { type NamedPlace, renameNew } from "../../kernel/tree/link.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { openForReading, rawAddress, rawOf } from "../../kernel/tree/tree.ts";
import { lockReplaced } from "../../registry/image/lock.ts";
import { mountsBelow } from "../../registry/mounts.ts";
import { log } from "../program/log.ts";

const RENAME_EXCHANGE = 2;

function rename(root: Fd, from: string, to: string, flags: number): number {
  return trySys("renameat2", root.number, rawAddress(rawOf(from)), root.number, rawAddress(rawOf(to)), flags);
}

/** Returns the entry `name` of an image folder. */
export function placeIn(root: Fd, name: string): NamedPlace {
  return { directory: root, name: rawOf(name) };
}

function statusOf(root: Fd, name: string): FileStatus | null {
  return unlessErrno(() => statAt(root, name, "no-follow"), null, "ENOENT");
}

/** Renames the file `from` to `to`, and replaces a regular file of that name, but no other kind of file. */
export function replaceFile(root: Fd, from: string, to: string): void {
  const old = statusOf(root, to);
  if (old?.kind === "directory") throw new ErrnoError("EISDIR", `'${to}' is a directory.`);
  if (old !== null && old.kind !== "regular") throw new ErrnoError("EEXIST", `'${to}' exists and is no regular file.`);
  if (old === null) renameNew(placeIn(root, from), placeIn(root, to));
  else check(rename(root, from, to, 0), "rename", to);
}

/**
 * Renames the image `from` to `to` and removes the image that had the name; a failure to remove it is logged. The old
 * image is locked until it is removed. Throws `EBUSY` when a machine runs from it, a process copies it, or something is
 * mounted in it.
 */
export function replaceImage(root: Fd, from: string, to: string, locks: string | null): void {
  const old = statusOf(root, to);
  if (old === null) {
    renameNew(placeIn(root, from), placeIn(root, to));
    return;
  }
  requireSameKind(statAt(root, from, "no-follow"), old, to);
  const path = join(pathOf(root), to);
  using _inUse = lockedForRemoval(locks, path, to);
  // Of a link, the link alone is replaced.
  using file = old.kind === "symlink" ? null : openForReading(root, rawOf(to));
  if (file !== null && (!lockWhole(file) || !isAt(file, path))) throw busy(to);
  if (old.kind === "directory" && mountsBelow(path).length > 0) throw busy(to);
  exchange(root, from, to, file);
  removeFormer(root, from, to);
}

/** Removes the image that was replaced. The new one has its name: what cannot be removed is left to a later sweep. */
function removeFormer(root: Fd, name: string, formerName: string): void {
  try {
    removeTree(root, rawOf(name));
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    log("warning", `Failed to remove the former '${formerName}', which is '${name}' now: ${error.message}`);
  }
}

/** Checks the kind of the file to replace: a tree replaces a tree, and a disk image a disk image. */
function requireSameKind(image: FileStatus, old: FileStatus, name: string): void {
  if (old.kind === "symlink" || old.kind === image.kind) return;
  if (old.kind === "directory") throw new ErrnoError("EISDIR", `'${name}' is a directory.`);
  if (image.kind === "directory") throw new ErrnoError("ENOTDIR", `'${name}' exists and is no directory.`);
  throw new ErrnoError("EEXIST", `'${name}' exists and is no regular file.`);
}

function lockedForRemoval(locks: string | null, path: string, name: string): Disposable | null {
  try {
    return lockReplaced(locks, path);
  } catch (error) {
    if (isErrno(error, "EBUSY")) throw busy(name);
    throw error;
  }
}

function busy(name: string): ErrnoError {
  return new ErrnoError("EBUSY", `Image '${name}' is in use.`);
}

/**
 * Exchanges the two names atomically, where the file system supports that. Also for a link: a tree cannot be renamed to
 * the name of one.
 */
function exchange(root: Fd, from: string, to: string, old: Fd | null): void {
  let result = rename(root, from, to, RENAME_EXCHANGE);
  if (result === EPERM && old !== null) {
    makeMutable(old);
    result = rename(root, from, to, RENAME_EXCHANGE);
  }
  if (result === EINVAL) result = exchangeInSteps(root, from, to);
  check(result, "rename", to);
}

function exchangeInSteps(root: Fd, from: string, to: string): number {
  // A temporary name. The clean-up of leftovers removes it where this process ends between the two renames.
  const aside = `.#fs${randomHex(8)}`;
  const result = rename(root, to, aside, 0);
  if (result < 0) return result;
  const placed = rename(root, from, to, 0);
  if (placed < 0) rename(root, aside, to, 0);
  else rename(root, aside, from, 0);
  return placed;
}
