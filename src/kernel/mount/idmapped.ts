// ID-mapped mounts: MOUNT_ATTR_IDMAP of mount_setattr(2).
import type { Fd } from "../file/fd.ts";
import { AT_EMPTY_PATH } from "../syscall/constants.ts";
import { pinForever, scratchString } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";

const MOUNT_ATTR_IDMAP = 0x0010_0000;

// struct mount_attr { 0 u64 attr_set; 8 u64 attr_clr; 16 u64 propagation; 24 u64 userns_fd; }
const attributes = pinForever(32);

/**
 * Maps the owners of a detached mount into a user namespace: files of UID 0 on disk belong to UID 0 of the namespace.
 * Throws `EINVAL` or `EPERM` where the file system does not support it or the mount is mapped already.
 */
export function mapMountIds(mount: Fd, userNamespace: Fd): void {
  attributes.bytes.fill(0);
  attributes.view.setUint32(0, MOUNT_ATTR_IDMAP, true);
  attributes.view.setUint32(24, userNamespace.number, true);
  const result = trySys("mount_setattr", mount.number, scratchString(""), AT_EMPTY_PATH, attributes, attributes.size);
  check(result, "mount_setattr");
}
