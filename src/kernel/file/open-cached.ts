// Naming files of somebody else's tree without waiting for anybody: what the kernel knows already it gives at once, and
// what a file system (or the program behind it, with FUSE) would have to be asked for is not asked. See openat2(2).

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
 * What is at `path` below `root`, as an O_PATH descriptor; null where that cannot be said at once. What follows from its
 * kind, its permissions or its content may still make wait: see `mountIdOf()`.
 */
export function nameIfKnown(root: Fd, path: string): Fd | null {
  // Before Linux 5.12 there is no such flag (EINVAL).
  return name(root, path, RESOLVE_CACHED, [EAGAIN, EINVAL]);
}

/** The same, found without leaving the mount that `root` is on; null where the path does, or where a rename was in the way. */
export function nameOnMount(root: Fd, path: string): Fd | null {
  return name(root, path, RESOLVE_NO_XDEV, [EAGAIN, EXDEV]);
}

/** The entry `name` of a directory; null where it is a symbolic link or a mount. */
export function nameEntry(directory: Fd, entry: string): Fd | null {
  return name(directory, entry, RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS, [EAGAIN, EXDEV, ELOOP]);
}

function name(root: Fd, path: string, resolve: number, unknown: readonly number[]): Fd | null {
  how.view.setBigUint64(0, BigInt(O_PATH | O_CLOEXEC), true);
  how.view.setBigUint64(16, BigInt(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | resolve), true);
  const result = trySys("openat2", root.number, scratchString(path), how, how.size);
  return unknown.includes(result) ? null : Fd.adopt(check(result, "open", path));
}

const statx = pinForever(256);

/** The number of the mount a file is on, as /proc/PID/mountinfo has it; null before Linux 5.8. Its file system is not asked. */
export function mountIdOf(file: Fd): number | null {
  const flags = AT_EMPTY_PATH | AT_STATX_DONT_SYNC;
  check(trySys("statx", file.number, scratchString(""), flags, STATX_MNT_ID, statx), "statx");
  const isKnown = (statx.view.getUint32(0, true) & STATX_MNT_ID) !== 0;
  return isKnown ? Number(statx.view.getBigUint64(144, true)) : null;
}
