// The pool: the directory of this host's own images, its usage and its limit. Limits are quota of btrfs, which slows
// down the whole file system: quota is enabled by setting a limit, and by nothing else (machinectl(1), "set-limit").

import { mkdirSync } from "node:fs";
import { basename, dirname } from "node:path";
import { lacksResources } from "../../base/absence.ts";
import { UINT64_MAX } from "../../base/text/format.ts";
import { type Fd, openPath } from "../../kernel/file/fd.ts";
import { isErrno, SyscallError } from "../../kernel/syscall/sys.ts";
import { createSubvolume, isBtrfs, isSubvolume, outermostDirectory, subvolumeInfo } from "../../kernel/tree/btrfs.ts";
import {
  enableQuota,
  insertSubtreeGroup,
  isQuotaEnabled,
  limitGroup,
  type SubvolumeSpace,
  subtreeGroup,
  subvolumeSpace,
} from "../../kernel/tree/btrfs-quota.ts";
import { rawOf } from "../../kernel/tree/tree.ts";
import type { Image } from "./image.ts";
import type { ImageLayout } from "./layout.ts";

/** Opens the pool, and creates it where it is missing: as a subvolume on btrfs, so that it can have a limit. */
export function openPool(layout: ImageLayout): Fd {
  try {
    return openPath(layout.pool, "directory");
  } catch (error) {
    if (!isErrno(error, "ENOENT")) throw error;
    makePool(layout.pool);
    return openPath(layout.pool, "directory");
  }
}

function makePool(path: string): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  using parent = openPath(dirname(path), "directory");
  if (isBtrfs(parent)) createSubvolume(parent, rawOf(basename(path)));
  else mkdirSync(path, { mode: 0o700 });
}

/** Returns usage and limit of the pool; all ones where the file system does not count them. */
export function poolSpace(layout: ImageLayout): SubvolumeSpace {
  try {
    using pool = openPath(layout.pool, "directory");
    const space = isSubvolume(pool) ? subvolumeSpace(pool, subvolumeInfo(pool).id) : null;
    return space ?? NO_SPACE;
  } catch (error) {
    if (error instanceof SyscallError && !lacksResources(error)) return NO_SPACE;
    throw error;
  }
}

const NO_SPACE = { usage: UINT64_MAX, usageExclusive: UINT64_MAX, limit: UINT64_MAX, limitExclusive: UINT64_MAX };

/**
 * Limits the pool with all images in it; all ones removes the limit. Throws `ENOTTY` where the file system has no
 * quota.
 */
export function limitPool(layout: ImageLayout, bytes: bigint): void {
  using pool = openPool(layout);
  if (!isBtrfs(pool)) throw new SyscallError("quota", "ENOTTY", layout.pool);
  if (!isSubvolume(pool)) {
    // A plain directory on btrfs cannot have a limit, and all images would have to move to make it a subvolume.
    if (bytes === UINT64_MAX) return;
    throw new SyscallError("quota", "EINVAL", layout.pool);
  }
  limitSubvolume(pool, bytes);
}

/** Limits an image. Throws `EROFS` for images of the operating system, `EOPNOTSUPP` for types that have no limit. */
export function limitImage(image: Image, bytes: bigint): void {
  if (!image.mayChange) throw new SyscallError("quota", "EROFS", image.path);
  if (image.type !== "subvolume") throw new SyscallError("quota", "EOPNOTSUPP", image.path);
  using top = openPath(image.path, "directory");
  limitSubvolume(top, bytes);
}

/** On a file system without quota, removing the limit changes nothing. */
function limitSubvolume(top: Fd, bytes: bigint): void {
  if (!isQuotaEnabled(top)) {
    if (bytes === UINT64_MAX) return;
    enableQuota(top);
  }
  const { id, parentId } = subvolumeInfo(top);
  // A subvolume that has reached its limit refuses every change, even of its limit: the call is made on another one.
  using outside = outermostDirectory(top);
  insertSubtreeGroup(outside, id, parentId);
  // The leaf group, too: older tools read that alone.
  limitGroup(outside, id, bytes);
  limitGroup(outside, subtreeGroup(outside, id), bytes);
}

/** Adds a new subvolume to the counting, with the limit of its source; does nothing without quota. */
export function keepSpace(original: Fd | null, made: Fd): void {
  try {
    if (!isQuotaEnabled(made)) return;
    const { id, parentId } = subvolumeInfo(made);
    insertSubtreeGroup(made, id, parentId);
    const limit = original === null ? null : subvolumeSpace(original, subvolumeInfo(original).id)?.limit;
    if (limit != null && limit !== UINT64_MAX) limitGroup(made, subtreeGroup(made, id), limit);
  } catch (error) {
    // On failure the image is kept, and its space is not counted.
    if (!(error instanceof SyscallError)) throw error;
  }
}
