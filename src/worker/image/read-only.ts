// Read-only marks of images.

import { changeFileFlags, FILE_FLAG } from "../../kernel/file/attributes.ts";
import { type Fd, statFd } from "../../kernel/file/fd.ts";
import { changeMode } from "../../kernel/file/ownership.ts";
import { setBlockReadOnly } from "../../kernel/mount/block-device.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import { isSubvolume } from "../../kernel/tree/btrfs.ts";
import { lockSubvolumes } from "../../kernel/tree/snapshot.ts";

/** Marks a tree as read-only, as far as its file system supports that. */
export function lockTree(tree: Fd): void {
  try {
    if (isSubvolume(tree)) lockSubvolumes(tree);
    else changeFileFlags(tree, { set: FILE_FLAG.immutable });
  } catch (error) {
    // tmpfs and others have no such mark: the image is used without it.
    if (!isErrno(error, "ENOTTY", "EOPNOTSUPP", "EINVAL", "EPERM")) throw error;
  }
}

/** Makes a block device or file that was written in place refuse further writes. */
export function lockInPlace(file: Fd): void {
  if (statFd(file).kind === "block") setBlockReadOnly(file, true);
  else changeMode(file, statFd(file).mode & 0o555);
}
