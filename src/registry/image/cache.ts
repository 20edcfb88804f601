// Images that were found before, returned again while nothing has changed. One look at an entry's status tells: whatever is
// done to a tree's top or to a disk image changes its status, and what does not (mounts, subvolumes, block devices) is
// never taken from memory.

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
  /** Whether it can be written; an entry on the same mount can be then, as far as its own status allows it. */
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

/** The image that was found under that entry when it had the same status; null when that does not say enough. */
export function recallImage(directory: SearchedDirectory, entry: string, status: FileStatus): Image | null {
  if (!isToldByStatus(directory, status)) return null;
  const known = memory.get(`${directory.path}/${entry}`);
  return known !== undefined && isSame(known.status, status) ? known.image : null;
}

function isToldByStatus(directory: SearchedDirectory, { mntId }: FileStatus): boolean {
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

/** Clocks of file systems tick this coarsely: what changed later than this before a look may change again unseen. */
const SETTLED_USEC = 100_000n;

function isSettled({ ctimeNs }: FileStatus): boolean {
  return ctimeNs / 1000n < realtimeUsec() - SETTLED_USEC;
}

/** Keeps an image for the next look, if its entry's status alone will tell whether it is still the same. */
export function rememberImage(directory: SearchedDirectory, image: Image, status: FileStatus): void {
  const { facts, type } = image;
  if (facts.place === null || (type !== "directory" && type !== "raw")) return;
  if (!isToldByStatus(directory, status) || !isSettled(status)) return;
  if (memory.size >= MEMORY_SIZE) memory.clear();
  memory.set(`${directory.path}/${facts.place.entry}`, { image, status });
}

/** What was made of the entries of directories, remembered while none comes or goes. */
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

/** All images of a directory whose entries stay the same, found again by one look at the status of each. */
export class UnchangedImages {
  readonly #entries: readonly string[];
  #images: readonly Image[] = [];
  #statuses: { readonly set: StatusSet; readonly isWritable: boolean } | null = null;

  /** `entries`: all that can stand for an image. */
  constructor(entries: readonly string[]) {
    this.#entries = entries;
  }

  /** The images; `find` is called unless nothing has changed, and then the same array is returned again. */
  of({ fd, isWritable }: SearchedDirectory, find: () => readonly Image[]): readonly Image[] {
    const known = this.#statuses;
    if (known !== null && known.isWritable === isWritable && known.set.isUnchanged(fd)) return this.#images;
    // Taken before the images are found: what changes meanwhile differs at the next look.
    const set = this.#images.length > 0 && this.#images.every(isRemembered) ? new StatusSet(fd, this.#entries) : null;
    const images = find();
    const isSame = images.length === this.#images.length && images.every((image, i) => image === this.#images[i]);
    // Only images that were all taken from memory are told by statuses alone.
    this.#statuses = isSame && set !== null ? { set, isWritable } : null;
    if (!isSame) this.#images = images;
    return this.#images;
  }
}

function isRemembered({ facts, type }: Image): boolean {
  return facts.place?.isVersion === false && (type === "directory" || type === "raw");
}
