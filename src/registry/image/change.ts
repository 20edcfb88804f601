// Changing an image in place: renaming, read-only marks, removal. The type of the image decides how. Images that belong
// to the operating system are refused with EROFS (machinectl(1), "Image Commands").

import { join } from "node:path";
import { changeFileFlags, FILE_FLAG, fileFlags } from "../../kernel/file/attributes.ts";
import { type Fd, openPath } from "../../kernel/file/fd.ts";
import { lockWhole } from "../../kernel/file/lock.ts";
import { changeMode } from "../../kernel/file/ownership.ts";
import { setBlockReadOnly } from "../../kernel/mount/block-device.ts";
import { SyscallError, unlessErrno } from "../../kernel/syscall/sys.ts";
import { setSubvolumeReadOnly } from "../../kernel/tree/btrfs.ts";
import { renameNew } from "../../kernel/tree/link.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { type RawName, rawOf } from "../../kernel/tree/tree.ts";
import { mountsBelow } from "../mounts.ts";
import { beginChange, removeCompanions, renameCompanions } from "./companions.ts";
import type { Image, ImagePlace } from "./image.ts";
import type { ImageLayout } from "./layout.ts";
import { lockImage, lockName } from "./lock.ts";
import { type ImageSearch, isTreeName } from "./search.ts";
import { hide, type Temporary } from "./temporary.ts";

/**
 * Returns the place of an image that may be changed; throws `EROFS` for the host's tree and for images of the operating
 * system.
 */
function changeable(image: Image): ImagePlace {
  const { place } = image.facts;
  if (place === null || !image.mayChange) throw new SyscallError("change", "EROFS", image.path);
  return place;
}

function unsupported(image: Image): SyscallError {
  return new SyscallError("change", "EOPNOTSUPP", image.path);
}

/**
 * Removes an image and its companions. Of a link, the link alone is removed. `isWanted` is called when the image is
 * locked: the removal throws `EBUSY` where it returns true.
 */
export function removeImage(layout: ImageLayout, image: Image, isWanted: () => boolean = () => false): void {
  const place = changeable(image);
  using _lock = lockImage(layout.locks, image.path, "exclusive");
  if (isWanted()) throw new SyscallError("unlink", "EBUSY", image.path);
  using directory = openPath(place.directory, "directory");
  const entry = rawOf(place.entry);
  const change = beginChange(layout, image, directory);
  const removeRest = () => {
    removeCompanions(layout, image);
    change[Symbol.dispose]();
  };
  try {
    if (!place.isLink && (image.isTree || image.type === "mstack")) removeWholeTree(directory, image, removeRest);
    else {
      removeTree(directory, entry);
      removeRest();
    }
  } finally {
    change[Symbol.dispose]();
  }
}

/**
 * Renames the tree to a hidden name first, so that no list shows an incomplete image, even when the removal is
 * interrupted. Companions have visible names: they are removed before the long part (`onHidden`). On a full disk
 * that has no room for another name, the tree keeps its name.
 */
function removeWholeTree(directory: Fd, image: Image, onHidden: () => void): void {
  if (mountsBelow(image.path).length > 0) throw new SyscallError("unlink", "EBUSY", image.path);
  using top = openPath(image.path, "directory");
  const entry = rawOf(image.facts.place?.entry ?? "");
  using hidden = withoutImmutable(top, "for ever", () => hideUnlessFull(directory, entry));
  if (hidden === null && !lockWhole(top)) throw new SyscallError("lock", "EBUSY", image.path);
  onHidden();
  if (hidden === null) removeTree(directory, entry);
  else hidden.remove();
}

function hideUnlessFull(directory: Fd, entry: RawName): Temporary | null {
  return unlessErrno(() => hide(directory, entry), null, "ENOSPC", "EDQUOT");
}

/**
 * Runs `act` while the directory has no immutable mark, which would forbid it. "meanwhile": the mark is set again
 * afterwards.
 */
function withoutImmutable<T>(top: Fd, howLong: "meanwhile" | "for ever", act: () => T): T {
  const isImmutable = ((fileFlags(top) ?? 0) & FILE_FLAG.immutable) !== 0;
  const mark = (change: "set" | "clear") => isImmutable && changeFileFlags(top, { [change]: FILE_FLAG.immutable });
  mark("clear");
  try {
    const result = act();
    if (howLong === "meanwhile") mark("set");
    return result;
  } catch (error) {
    mark("set");
    throw error;
  }
}

/**
 * Renames an image within its directory. Throws `EEXIST` when any directory has an image of that name, `EINVAL` for a
 * name under which a tree is not found.
 */
export function renameImage(layout: ImageLayout, search: ImageSearch, image: Image, newName: string): void {
  const place = changeable(image);
  if (image.type === "mstack" || place.isVersion) throw unsupported(image);
  if (image.isTree && !isTreeName(newName)) throw new SyscallError("rename", "EINVAL", newName);
  using _lock = lockImage(layout.locks, image.path, "exclusive");
  using _name = lockName(layout.locks, newName);
  if (search.find(newName) !== null) throw new SyscallError("rename", "EEXIST", newName);
  using directory = openPath(place.directory, "directory");
  const suffix = image.type === "raw" ? ".raw" : "";
  const from = { directory, name: rawOf(place.entry) };
  const to = { directory, name: rawOf(newName + suffix) };
  using _change = beginChange(layout, image, directory, { newName, newPath: join(place.directory, newName + suffix) });
  if (image.type === "directory" && !place.isLink) {
    using top = openPath(image.path, "directory");
    withoutImmutable(top, "meanwhile", () => renameNew(from, to));
  } else renameNew(from, to);
  renameCompanions(layout, image, newName);
}

const WRITABLE = 0o200;
const READABLE = 0o444;

/** Marks an image as read-only, or removes the mark. Hidden images are always read-only (`EROFS`). */
export function markReadOnly(layout: ImageLayout, image: Image, readOnly: boolean): void {
  changeable(image);
  if (image.isHidden) throw new SyscallError("change", "EROFS", image.path);
  if (image.type === "mstack") throw unsupported(image);
  using _lock = lockImage(layout.locks, image.path, "exclusive");
  setReadOnly(image, readOnly);
}

function setReadOnly(image: Image, readOnly: boolean): void {
  if (image.type === "block") {
    using device = openPath(image.path, "read");
    setBlockReadOnly(device, readOnly);
    return;
  }
  using file = openPath(image.path, image.isTree ? "directory" : "read");
  if (image.type === "raw") {
    const { mode } = new RawStatus().readFd(file);
    changeMode(file, (mode & READABLE) | (readOnly ? 0 : WRITABLE));
  } else markTree(file, image.type === "subvolume" ? "subvolume" : "directory", readOnly);
}

/**
 * A subvolume has a read-only mark of its own; for a plain directory, the immutable mark of its top is used instead.
 */
export function markTree(top: Fd, type: "subvolume" | "directory", readOnly: boolean): void {
  if (type === "subvolume") setSubvolumeReadOnly(top, readOnly);
  else changeFileFlags(top, readOnly ? { set: FILE_FLAG.immutable } : { clear: FILE_FLAG.immutable });
}
