// Snapshots of subvolumes with their nested subvolumes: the file system itself snapshots only one subvolume, with an
// empty directory in place of each nested one. The read-only mark, too, is that of one subvolume alone. See
// btrfs-subvolume(8).
import type { Fd } from "../file/fd.ts";
import { isErrno } from "../syscall/sys.ts";
import {
  isSubvolume,
  type NestedSubvolume,
  nestedSubvolumes,
  setSubvolumeReadOnly,
  snapshotSubvolume,
  subvolumeInfo,
} from "./btrfs.ts";
import { copyOwnership, setTimes } from "./copy-file.ts";
import { DirectoryChain } from "./directory-chain.ts";
import { createDirectory, type NamedPlace, removeEmpty } from "./link.ts";
import { RawStatus } from "./raw-status.ts";
import { openDirectory } from "./tree.ts";

const status = new RawStatus();

interface SnapshotOptions {
  /**
   * Directories, by `RawStatus.identity`, that are not snapshotted if they are nested subvolumes, nor nested subvolumes
   * in them.
   */
  readonly leaveEmpty: ReadonlySet<string>;
  /** Whether the snapshots become read-only. */
  readonly readOnly: boolean;
}

/**
 * Makes snapshots of `nested`, the subvolumes nested in `source`, in `target`, a new snapshot of `source`. The caller
 * must list `nested` before it makes `target`, which may itself be inside `source`.
 */
export function snapshotNested(
  source: Fd,
  nested: readonly NestedSubvolume[],
  target: Fd,
  options: SnapshotOptions,
): void {
  for (const one of nested) {
    try {
      snapshotOne(source, target, one, options);
    } catch (error) {
      // It was removed since it was listed.
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
}

function snapshotOne(source: Fd, target: Fd, nested: NestedSubvolume, options: SnapshotOptions): void {
  using from = new DirectoryChain(source.duplicate(), status);
  using to = new DirectoryChain(target.duplicate(), status);
  for (const part of nested.directory.split("/").filter((name) => name !== "")) {
    const inner = from.open(part);
    if (options.leaveEmpty.has(status.readFd(inner).identity)) return;
    to.open(part);
  }
  using inner = openDirectory(from.current, nested.name);
  // Another file system may be mounted there.
  if (!isSubvolume(inner) || subvolumeInfo(inner).id !== nested.id) return;
  const place = { directory: to.current, name: nested.name };
  replaceStub(inner, place, options);
  setTimes(to.current, ".", status.readFd(from.current));
}

/**
 * Replaces the empty directory of a nested subvolume by a snapshot; by an ordinary empty directory for `leaveEmpty`.
 */
function replaceStub(inner: Fd, place: NamedPlace, options: SnapshotOptions): void {
  const { directory, name } = place;
  removeEmpty(place);
  if (options.leaveEmpty.has(status.readFd(inner).identity)) {
    createDirectory(place, 0o700);
    using empty = openDirectory(directory, name);
    copyOwnership(empty, status.readFd(inner));
    return;
  }
  const deeper = nestedSubvolumes(inner);
  snapshotSubvolume(inner, directory, name);
  using top = openDirectory(directory, name);
  snapshotNested(inner, deeper, top, options);
  if (options.readOnly) setSubvolumeReadOnly(top, true);
}

/** Makes a subvolume read-only, and all that are nested in it. */
export function lockSubvolumes(top: Fd): void {
  for (const nested of nestedSubvolumes(top)) {
    using chain = new DirectoryChain(top.duplicate(), status);
    for (const name of nested.directory.split("/").filter((part) => part !== "")) chain.open(name);
    using inner = openDirectory(chain.current, nested.name);
    // Another file system may be mounted there.
    if (isSubvolume(inner) && subvolumeInfo(inner).id === nested.id) lockSubvolumes(inner);
  }
  setSubvolumeReadOnly(top, true);
}
