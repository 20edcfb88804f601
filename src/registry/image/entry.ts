// From an entry of a search directory to an image: what kind it is, whether it can be written, since when it is there.
// Nothing is opened but for its status, and nothing that stayed what it was is looked at twice.
import { join } from "node:path";
import type { ImageType } from "../../base/vocabulary/image-class.ts";
import { createdUsec, entryCreatedUsec, pathOf, writeObstacle } from "../../kernel/file/attributes.ts";
import { type Fd, openAt, openPath, statAt, statFd } from "../../kernel/file/fd.ts";
import type { FileStatus } from "../../kernel/file/status.ts";
import { blockDeviceBytes, isBlockReadOnly } from "../../kernel/mount/block-device.ts";
import { SyscallError } from "../../kernel/syscall/sys.ts";
import { isSubvolume, mayBeSubvolume, subvolumeInfo } from "../../kernel/tree/btrfs.ts";
import { subvolumeSpace } from "../../kernel/tree/btrfs-quota.ts";
import { recallImage, rememberImage, type SearchedDirectory } from "./cache.ts";
import { HOST_IMAGE, Image, type ImageFacts, type ImageSpace, UNKNOWN_SPACE } from "./image.ts";

/** What is known of an entry before it counts as an image. */
interface FoundEntry {
  readonly entry: string;
  readonly status: FileStatus;
  readonly isVersion: boolean;
}

/** The type an entry has by its status and its name; null for what is no image. */
function typeOfEntry(entry: string, status: FileStatus): ImageType | null {
  if (status.kind === "directory") return entry.endsWith(".mstack") ? "mstack" : "directory";
  if (status.kind === "regular") return entry.endsWith(".raw") ? "raw" : null;
  return status.kind === "block" ? "block" : null;
}

/** The status of an entry, through links; null when there is nothing, or nothing that can be looked at. */
export function statusOfEntry(directory: SearchedDirectory, entry: string): FileStatus | null {
  return unlessGone(() => statAt(directory.fd, entry));
}

/** The image that an entry is, under the given name; null when it is none (any more). */
export function imageOfEntry(directory: SearchedDirectory, name: string, found: FoundEntry): Image | null {
  const { entry, status, isVersion } = found;
  const type = typeOfEntry(entry, status);
  if (type === null) return null;
  const known = recallImage(directory, entry, status);
  if (known?.name === name) return known;
  return unlessGone(() => {
    const isLink = statAt(directory.fd, entry, "no-follow").kind === "symlink";
    const path = isLink ? targetOf(directory, entry) : join(directory.path, entry);
    const place = { directory: directory.path, entry, isVersion, isLink };
    const created = entryCreatedUsec(directory.fd, entry, status) ?? 0n;
    const identity = identityOf(status);
    const plain = { name, path, place, type, identity, isLocked: false, createdUsec: created, modifiedUsec: 0n };
    const image = new Image({ ...plain, space: UNKNOWN_SPACE, ...details(directory, entry, type, status) });
    rememberImage(directory, image, status);
    return image;
  });
}

/** An inode number is used again when its file is gone; the time of birth tells the two files apart. */
function identityOf({ dev, ino, birthNs }: FileStatus): string {
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

/** Removed between two looks, or on a file system that does not answer as it should: nothing to start a machine from. */
function unlessGone<T>(look: () => T): T | null {
  try {
    return look();
  } catch (error) {
    if (error instanceof SyscallError) return null;
    throw error;
  }
}

type Details = Partial<ImageFacts>;

function details(directory: SearchedDirectory, entry: string, type: ImageType, status: FileStatus): Details {
  const obstacle = writeObstacle(directory.fd, entry);
  if (type === "raw") return rawDetails(status, obstacle === "EROFS");
  if (type === "block") return blockDetails(directory, entry, status, obstacle === "EROFS");
  // An immutable directory is the mark that a tree without subvolumes is read-only.
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
    modifiedUsec: status.mtimeNs / 1000n,
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

/** What the file system keeps of a subvolume; nothing for a plain directory. */
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
