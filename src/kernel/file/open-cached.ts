// Opens files of untrusted trees (O_PATH) without blocking: only what the kernel has in its caches is resolved, so that
// no network or FUSE file system is accessed. See RESOLVE_CACHED in openat2(2).
import {
  AT_EMPTY_PATH,
  AT_STATX_DONT_SYNC,
  EAGAIN,
  EINVAL,
  ELOOP,
  EXDEV,
  O_CLOEXEC,
  O_PATH,
  RESOLVE_CACHED,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
  RESOLVE_NO_XDEV,
  STATX_MNT_ID,
} from "../syscall/constants.ts";
import { pinForever, scratchString } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";
import { Fd } from "./fd.ts";

// struct open_how { __u64 flags; __u64 mode; __u64 resolve; }
const how = pinForever(24);

/**
 * Opens `path` below `root` as an O_PATH descriptor; returns null where that would block. Reading the file or its
 * status may still block: compare `mountIdOf()` first.
 */
export function nameIfKnown(root: Fd, path: string): Fd | null {
  // Before Linux 5.12 there is no such flag (EINVAL).
  return openPathFd(root, path, RESOLVE_CACHED, [EAGAIN, EINVAL]);
}

/**
 * Opens `path` below `root` (O_PATH) on the mount of `root`; returns null where the path leaves it, or a rename
 * interfered.
 */
export function nameOnMount(root: Fd, path: string): Fd | null {
  return openPathFd(root, path, RESOLVE_NO_XDEV, [EAGAIN, EXDEV]);
}

/** Opens an entry of a directory (O_PATH); returns null where it is a symbolic link or a mount point. */
export function nameEntry(directory: Fd, entry: string): Fd | null {
  return openPathFd(directory, entry, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS, [EAGAIN, EXDEV, ELOOP]);
}

/** Opens `path` with flags of openat2(2); returns null for the errors `absent`. */
function openPathFd(root: Fd, path: string, resolve: number, absent: readonly number[]): Fd | null {
  how.view.setBigUint64(0, BigInt(O_PATH | O_CLOEXEC), true);
  how.view.setBigUint64(16, BigInt(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve), true);
  const result = trySys("openat2", root.number, scratchString(path), how, how.size);
  return absent.includes(result) ? null : Fd.adopt(check(result, "open", path));
}

const statx = pinForever(256);

/**
 * Returns the mount id of a file, as in /proc/PID/mountinfo; null before Linux 5.8. Does not access its file system.
 */
export function mountIdOf(file: Fd): number | null {
  const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  check(trySys("statx", file.number, scratchString(""), flags, STATX_MNT_ID, statx), "statx");
  const isKnown = (statx.view.getUint32(0, true) & STATX_MNT_ID) !== 0;
  return isKnown ? Number(statx.view.getBigUint64(144, true)) : null;
}
