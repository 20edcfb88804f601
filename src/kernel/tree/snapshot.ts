// A snapshot of a subvolume together with those nested in it, each at its place: the file system itself makes snapshots of
// one subvolume only, with an empty directory where another begins. See btrfs-subvolume(8).

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
import { createDirectory, type NamedPlace, removeEmpty } from "./link.ts";
import { DirectoryChain, openDirectory, RawStatus } from "./tree.ts";

const status = new RawStatus();

interface SnapshotOptions {
  /** Directories (`RawStatus.identity`): subvolumes in them, or being them, have no part in it; what else is there has. */
  readonly leaveEmpty: ReadonlySet<string>;
  /** Whether the snapshots are marked as read-only. */
  readonly readOnly: boolean;
}

/**
 * Puts snapshots of `nested`, the subvolumes nested in `source`, into `target`, a fresh snapshot of it. They are listed before the first snapshot is made, as that may itself be nested in what it is made of.
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
      // Gone since it was listed.
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
}

function snapshotOne(source: Fd, target: Fd, nested: NestedSubvolume, options: SnapshotOptions): void {
  using from = new DirectoryChain(source.duplicate(), status);
  using to = new DirectoryChain(target.duplicate(), status);
  for (const part of nested.directory.split("/").filter((name) => name !== "")) {
    const inner = openDirectory(from.current, part);
    const { identity } = status.readFd(inner);
    from.enter(part, inner, identity);
    if (options.leaveEmpty.has(identity)) return;
    const copy = openDirectory(to.current, part);
    to.enter(part, copy, status.readFd(copy).identity);
  }
  using inner = openDirectory(from.current, nested.name);
  // Something else may be mounted there.
  if (!isSubvolume(inner) || subvolumeInfo(inner).id !== nested.id) return;
  const place = { directory: to.current, name: nested.name };
  replaceStub(inner, place, options);
  setTimes(to.current, ".", status.readFd(from.current));
}

/** Puts a snapshot, or an empty directory, where the file system has left a mere place for the nested subvolume. */
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
