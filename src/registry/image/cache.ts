// A cache of images, keyed by their directory entries. An entry's status shows whether its image is unchanged: every
// change of a tree's top directory or of a disk image changes the status. Images whose changes the status does not show
// (mounts, subvolumes, block devices) are never cached.

import { pathOf, writeObstacle } from "../../kernel/file/attributes.ts";
import { type Fd, openPath, statFd } from "../../kernel/file/fd.ts";
import type { FileStatus } from "../../kernel/file/status.ts";
import { StatusSet } from "../../kernel/file/status-set.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import { realtimeUsec } from "../../kernel/syscall/time.ts";
import type { Image } from "./image.ts";

/** An open directory in which images are looked for. */
export interface SearchedDirectory {
  readonly fd: Fd;
  /** Without symbolic links. */
  readonly path: string;
  readonly status: FileStatus;
  /**
   * Whether its mount is writable; only then can an entry on the same mount be writable, depending on its own status.
   */
  readonly isWritable: boolean;
}

/** Opens a directory for `look`; undefined where there is none. */
export function inDirectory<T>(path: string, look: (directory: SearchedDirectory) => T): T | undefined {
  try {
    using fd = openPath(path, "directory");
    const isWritable = writeObstacle(fd, ".") === null;
    return look({ fd, path: pathOf(fd), status: statFd(fd), isWritable });
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return undefined;
    throw error;
  }
}

interface Remembered {
  readonly image: Image;
  readonly status: FileStatus;
}

const MEMORY_SIZE = 8192;
const memory = new Map<string, Remembered>();

/**
 * Returns the image that the entry had at the same status; null where the status does not prove that it is unchanged.
 */
export function cachedImage(directory: SearchedDirectory, entry: string, status: FileStatus): Image | null {
  if (!isSeenInStatus(directory, status)) return null;
  const known = memory.get(`${directory.path}/${entry}`);
  return known !== undefined && isSame(known.status, status) ? known.image : null;
}

function isSeenInStatus(directory: SearchedDirectory, { mntId }: FileStatus): boolean {
  return directory.isWritable && mntId !== null && mntId === directory.status.mntId;
}

function isSame(a: FileStatus, b: FileStatus): boolean {
  return (
    a.ino === b.ino &&
    a.ctimeNs === b.ctimeNs &&
    a.mtimeNs === b.mtimeNs &&
    a.blocks === b.blocks &&
    a.size === b.size &&
    a.mode === b.mode &&
    a.dev === b.dev &&
    a.mntId === b.mntId
  );
}

/**
 * The coarsest tick of file systems' clocks: a file that changed within it may change again without getting another
 * time.
 */
const SETTLED_USEC = 100_000n;

function isSettled({ ctimeNs }: FileStatus): boolean {
  return ctimeNs / 1000n < realtimeUsec() - SETTLED_USEC;
}

/** Caches an image, if its entry's status alone will show whether it is unchanged. */
export function cacheImage(directory: SearchedDirectory, image: Image, status: FileStatus): void {
  const { facts, type } = image;
  if (facts.place === null || (type !== "directory" && type !== "raw")) return;
  if (!isSeenInStatus(directory, status) || !isSettled(status)) return;
  if (memory.size >= MEMORY_SIZE) memory.clear();
  memory.set(`${directory.path}/${facts.place.entry}`, { image, status });
}

/** Caches a value computed from the entries of directories while no entry is added or removed. */
export class DirectoryMemory<T> {
  readonly #read: (directory: SearchedDirectory) => T;
  readonly #known = new Map<string, { readonly status: FileStatus; readonly value: T }>();

  constructor(read: (directory: SearchedDirectory) => T) {
    this.#read = read;
  }

  of(directory: SearchedDirectory): T {
    const { path, status } = directory;
    const known = this.#known.get(path);
    if (known !== undefined && isSame(known.status, status)) return known.value;
    const value = this.#read(directory);
    if (isSettled(status)) this.#known.set(path, { status, value });
    return value;
  }
}

/** The images of a directory whose entries are unchanged: one status call for each image checks them. */
export class UnchangedImages {
  readonly #entries: readonly string[];
  #images: readonly Image[] = [];
  #statuses: { readonly set: StatusSet; readonly isWritable: boolean } | null = null;

  /** `entries`: all entries that can be an image. */
  constructor(entries: readonly string[]) {
    this.#entries = entries;
  }

  /** Returns the images: the same array while nothing has changed, else what `find` returns. */
  of({ fd, isWritable }: SearchedDirectory, find: () => readonly Image[]): readonly Image[] {
    const known = this.#statuses;
    if (known !== null && known.isWritable === isWritable && known.set.isUnchanged(fd)) return this.#images;
    // The statuses are taken before the images are found, so that a change in between is noticed by the next call.
    const set = this.#images.length > 0 && this.#images.every(isRemembered) ? new StatusSet(fd, this.#entries) : null;
    const images = find();
    const isSame = images.length === this.#images.length && images.every((image, i) => image === this.#images[i]);
    // The statuses prove that the list is unchanged only where every image came from the cache.
    this.#statuses = isSame && set !== null ? { set, isWritable } : null;
    if (!isSame) this.#images = images;
    return this.#images;
  }
}

function isRemembered({ facts, type }: Image): boolean {
  return facts.place?.isVersion === false && (type === "directory" || type === "raw");
}
