// From an entry of a search directory to an image: its type, whether it can be written, its times. Files are opened for
// their status only, and unchanged entries come from the cache.

import { join } from "node:path";
import { lacksResources } from "../../base/absence.ts";
import type { ImageType } from "../../base/vocabulary/image-class.ts";
import { createdUsec, entryCreatedUsec, pathOf, writeObstacle } from "../../kernel/file/attributes.ts";
import { type Fd, openAt, openPath, statAt, statFd } from "../../kernel/file/fd.ts";
import { type FileStatus, usecOfTime } from "../../kernel/file/status.ts";
import { blockDeviceBytes, isBlockReadOnly } from "../../kernel/mount/block-device.ts";
import { SyscallError } from "../../kernel/syscall/sys.ts";
import { isSubvolume, mayBeSubvolume, subvolumeInfo } from "../../kernel/tree/btrfs.ts";
import { subvolumeSpace } from "../../kernel/tree/btrfs-quota.ts";
import { cachedImage, cacheImage, type SearchedDirectory } from "./cache.ts";
import { HOST_IMAGE, Image, type ImageFacts, type ImageSpace, UNKNOWN_SPACE } from "./image.ts";

/** The facts of an entry from its status alone. */
interface FoundEntry {
  readonly entry: string;
  readonly status: FileStatus;
  readonly isVersion: boolean;
}

/** Returns the type of an entry by its status and its name; null for an entry that is no image. */
function typeOfEntry(entry: string, status: FileStatus): ImageType | null {
  if (status.kind === "directory") return entry.endsWith(".mstack") ? "mstack" : "directory";
  if (status.kind === "regular") return entry.endsWith(".raw") ? "raw" : null;
  return status.kind === "block" ? "block" : null;
}

/** Returns the status of an entry, following links; null when it does not exist or cannot be read. */
export function statusOfEntry(directory: SearchedDirectory, entry: string): FileStatus | null {
  return unlessGone(() => statAt(directory.fd, entry));
}

/** Returns the image of an entry under the given name; null when it is no image, or no longer one. */
export function imageOfEntry(directory: SearchedDirectory, name: string, found: FoundEntry): Image | null {
  const { entry, status, isVersion } = found;
  const type = typeOfEntry(entry, status);
  if (type === null) return null;
  const known = cachedImage(directory, entry, status);
  if (known?.name === name) return known;
  return unlessGone(() => {
    const isLink = statAt(directory.fd, entry, "no-follow").kind === "symlink";
    const path = isLink ? targetOf(directory, entry) : join(directory.path, entry);
    const place = { directory: directory.path, entry, isVersion, isLink };
    const created = entryCreatedUsec(directory.fd, entry, status) ?? 0n;
    const identity = identityOf(status);
    const plain = { name, path, place, type, identity, isLocked: false, createdUsec: created, modifiedUsec: 0n };
    const image = new Image({ ...plain, space: UNKNOWN_SPACE, ...details(directory, entry, type, status) });
    cacheImage(directory, image, status);
    return image;
  });
}

/**
 * Returns which file it is. An inode number is reused when its file is removed; the time of birth tells the two apart.
 */
export function identityOf({ dev, ino, birthNs }: FileStatus): string {
  return `${dev}:${ino}:${birthNs ?? ""}`;
}

function targetOf(directory: SearchedDirectory, entry: string): string {
  using file = openAt(directory.fd, entry, "path");
  return pathOf(file);
}

/** The host's own tree as an image. */
export function hostImage(): Image {
  using root = openPath("/", "directory");
  const status = statFd(root);
  const tree = treeDetails(root, status);
  return new Image({
    name: HOST_IMAGE,
    path: "/",
    type: "directory",
    identity: identityOf(status),
    place: null,
    isLocked: writeObstacle(root, ".") !== null,
    createdUsec: createdUsec(root) ?? 0n,
    modifiedUsec: 0n,
    space: UNKNOWN_SPACE,
    ...tree,
  });
}

/**
 * Returns null where a system call fails: the entry was removed meanwhile, or its file system has an error. Such an
 * entry is no image. It does not hide the others. Throws where this process lacks descriptors or memory: the image is
 * there.
 */
function unlessGone<T>(look: () => T): T | null {
  try {
    return look();
  } catch (error) {
    if (error instanceof SyscallError && !lacksResources(error)) return null;
    throw error;
  }
}

type Details = Partial<ImageFacts>;

function details(directory: SearchedDirectory, entry: string, type: ImageType, status: FileStatus): Details {
  const obstacle = writeObstacle(directory.fd, entry);
  if (type === "raw") return rawDetails(status, obstacle === "EROFS");
  if (type === "block") return blockDetails(directory, entry, status, obstacle === "EROFS");
  // A tree that is no subvolume is marked as read-only by the immutable mark of its top.
  const isLocked = obstacle === "EROFS" || obstacle === "EPERM";
  if (type === "mstack" || !mayBeSubvolume(status.ino)) return { isLocked };
  using top = openAt(directory.fd, entry, "directory");
  return { isLocked, ...treeDetails(top, status) };
}

const BLOCK_BYTES = 512n;
const WRITE_BITS = 0o222;

function rawDetails(status: FileStatus, isOnReadOnly: boolean): Details {
  const usage = BigInt(status.blocks) * BLOCK_BYTES;
  const limit = BigInt(status.size);
  return {
    isLocked: isOnReadOnly || (status.mode & WRITE_BITS) === 0,
    modifiedUsec: usecOfTime(status.mtimeNs),
    space: { usage, usageExclusive: usage, limit, limitExclusive: limit },
  };
}

function blockDetails(directory: SearchedDirectory, entry: string, status: FileStatus, isOnReadOnly: boolean): Details {
  const device = unlessGone(() => openAt(directory.fd, entry, "read"));
  try {
    const bytes = device === null ? 0n : (unlessGone(() => blockDeviceBytes(device)) ?? 0n);
    const refuses = device !== null && unlessGone(() => isBlockReadOnly(device)) === true;
    return {
      isLocked: isOnReadOnly || refuses || (status.mode & WRITE_BITS) === 0,
      createdUsec: 0n,
      space: bytes === 0n ? UNKNOWN_SPACE : allOf(bytes),
    };
  } finally {
    device?.close();
  }
}

function allOf(bytes: bigint): ImageSpace {
  return { usage: bytes, usageExclusive: bytes, limit: bytes, limitExclusive: bytes };
}

/** Returns the facts that the file system stores of a subvolume; none for a plain directory. */
function treeDetails(top: Fd, status: FileStatus): Details {
  if (!mayBeSubvolume(status.ino) || !isSubvolume(top)) return {};
  const info = subvolumeInfo(top);
  return {
    type: "subvolume",
    createdUsec: info.createdUsec,
    modifiedUsec: info.changedUsec,
    space: unlessGone(() => subvolumeSpace(top, info.id)) ?? UNKNOWN_SPACE,
    ...(info.readOnly ? { isLocked: true } : {}),
  };
}
