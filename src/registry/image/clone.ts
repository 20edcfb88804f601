// Cloning an image into the pool: a snapshot where the file system has them, else a copy that shares its data where the
// file system can do that, else a copy. The clone gets its name when it is complete (machinectl(1), "clone").

import {
  avoidCopyOnWrite,
  createdUsec,
  FILE_FLAG,
  fileFlags,
  noteCreated,
  pathOf,
} from "../../kernel/file/attributes.ts";
import { type Fd, openBeneath, openPath } from "../../kernel/file/fd.ts";
import { isErrno, SyscallError } from "../../kernel/syscall/sys.ts";
import {
  isBtrfs,
  isSubvolume,
  type NestedSubvolume,
  nestedSubvolumes,
  snapshotSubvolume,
} from "../../kernel/tree/btrfs.ts";
import { type CopyOptions, copyTree } from "../../kernel/tree/copy.ts";
import { copyData, shareData } from "../../kernel/tree/copy-file.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { emptyDirectory } from "../../kernel/tree/remove.ts";
import { snapshotNested } from "../../kernel/tree/snapshot.ts";
import { rawOf } from "../../kernel/tree/tree.ts";
import { markTree } from "./change.ts";
import { CompanionCopies } from "./companions.ts";
import type { Image } from "./image.ts";
import type { ImageLayout } from "./layout.ts";
import { HeldImage, lockName } from "./lock.ts";
import { keepSpace, openPool } from "./pool.ts";
import { type ImageSearch, isTreeName } from "./search.ts";
import { sweepAll } from "./sweep.ts";
import { type Temporary, temporaryFile, temporaryMade, temporaryTree } from "./temporary.ts";

interface CloneRequest {
  readonly newName: string;
  readonly readOnly: boolean;
}

/**
 * Clones an image. Throws `EEXIST` when any directory has an image of the new name, `EBUSY` when one is being made,
 * `EINVAL` for a name under which a tree is not found.
 */
export function cloneImage(
  layout: ImageLayout,
  search: ImageSearch,
  image: Image,
  request: CloneRequest,
  options: CopyOptions,
): void {
  const { newName, readOnly } = request;
  if (image.isTree && !isTreeName(newName)) throw new SyscallError("clone", "EINVAL", newName);
  // Before the name is locked, which a change that is not finished may have to lock.
  sweepAll(layout);
  using _name = lockName(layout.locks, newName);
  if (search.find(newName) !== null) throw new SyscallError("clone", "EEXIST", newName);
  if (!image.isTree && image.type !== "raw") throw new SyscallError("clone", "EOPNOTSUPP", image.path);
  using pool = openPool(layout);
  using clone = image.isTree ? cloneTree(image, pool, readOnly, options) : cloneDisk(image, pool, readOnly, options);
  using companions = CompanionCopies.of(layout, image, { pool, name: newName });
  using _change = companions.put();
  if (!image.isTree) clone.publish(rawOf(`${newName}.raw`));
  else publishTree(clone, newName, readOnly);
}

/** An immutable directory cannot be renamed, so it is marked after the renaming; a subvolume is marked before. */
function publishTree(clone: Temporary, newName: string, readOnly: boolean): void {
  const type = isSubvolume(clone.fd) ? "subvolume" : "directory";
  const mark = () => readOnly && markTree(clone.fd, type, true);
  if (readOnly && type === "directory" && fileFlags(clone.fd) === null) {
    throw new SyscallError("clone", "EOPNOTSUPP", newName);
  }
  if (type === "subvolume") mark();
  clone.publish(rawOf(newName));
  if (type === "directory") mark();
}

function cloneTree(image: Image, pool: Fd, readOnly: boolean, options: CopyOptions): Temporary {
  using held = image.facts.place === null ? null : HeldImage.open(null, image.path, "directory");
  using root = held === null ? openPath(image.path, "directory") : null;
  const source = held?.fd ?? (root as Fd);
  // The pool is never part of a clone: cloning the host would otherwise clone all clones, and itself.
  const leaveEmpty = new Set([new RawStatus().readFd(pool).identity]);
  const snapshot = isSubvolume(source) ? snapshotOf(source, pool) : null;
  if (snapshot === null)
    return filled(temporaryTree(pool), ({ fd }) => {
      copyInto(fd, source, { ...options, leaveEmpty });
      held?.requireThere();
    });
  return filled(snapshot.made, ({ fd }) => {
    snapshotNested(source, snapshot.nested, fd, { leaveEmpty, readOnly });
    emptyPoolIn(fd, image.path, pathOf(pool));
    keepSpace(source, fd);
  });
}

function copyInto(target: Fd, source: Fd, options: CopyOptions): void {
  copyTree(source, target, options);
  if (isBtrfs(target)) keepSpace(null, target);
}

/** Returns the entry that `fill` has completed; removes it where `fill` fails. */
function filled(made: Temporary, fill: (made: Temporary) => void): Temporary {
  try {
    fill(made);
    return made;
  } catch (error) {
    made[Symbol.dispose]();
    throw error;
  }
}

/** Returns a snapshot of the one subvolume; null where the pool is on another file system. */
function snapshotOf(source: Fd, pool: Fd): { made: Temporary; nested: NestedSubvolume[] } | null {
  try {
    const nested = nestedSubvolumes(source);
    return { nested, made: temporaryMade(pool, (name) => snapshotSubvolume(source, pool, name)) };
  } catch (error) {
    if (isErrno(error, "EXDEV", "ENOTTY", "EINVAL", "EPERM", "EOPNOTSUPP")) return null;
    throw error;
  }
}

/** Removes the pool's plain files from a snapshot: a snapshot of the surrounding subvolume includes them. */
function emptyPoolIn(clone: Fd, source: string, pool: string): void {
  const prefix = source === "/" ? "/" : `${source}/`;
  if (!pool.startsWith(prefix)) return;
  try {
    using copy = openBeneath(clone, pool.slice(prefix.length), "directory");
    emptyDirectory(copy);
  } catch (error) {
    // The pool is on another mount, or below another subvolume that is not in the clone.
    if (!isErrno(error, "ENOENT", "ENOTDIR", "ELOOP", "EXDEV")) throw error;
  }
}

function cloneDisk(image: Image, pool: Fd, readOnly: boolean, options: CopyOptions): Temporary {
  using source = openPath(image.path, "read");
  return filled(temporaryFile(pool, readOnly ? 0o444 : 0o644), ({ fd }) => {
    copyDisk(source, fd, options);
    const created = createdUsec(source);
    if (created !== null) unlessUnsupported(() => noteCreated(fd, created));
  });
}

/** Disk images are written in many places, so they get no copy-on-write, unless they share data by it. */
function copyDisk(source: Fd, target: Fd, options: CopyOptions): void {
  const status = new RawStatus().readFd(source);
  const { size } = status;
  const sourceFlags = fileFlags(source);
  if (sourceFlags !== null && (sourceFlags & FILE_FLAG.noCow) !== 0) avoidCopyOnWrite(target);
  if (size === 0 || shareData(source, target) === "shared") return;
  avoidCopyOnWrite(target);
  const progress = { files: 1, bytes: 0 };
  copyData(source, target, status, (count) => {
    progress.bytes += count;
    options.onProgress?.(progress);
  });
  // What is missing of the original would be zeros in the clone.
  if (status.readFd(source).size < size) throw new SyscallError("copy", "EIO", pathOf(source));
}

function unlessUnsupported(act: () => void): void {
  try {
    act();
  } catch (error) {
    if (!isErrno(error, "EOPNOTSUPP", "ENOTTY", "EPERM", "EINVAL", "ENOSYS")) throw error;
  }
}
