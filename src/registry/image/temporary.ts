// Temporary entries: files that are not yet, or no longer, an image. They have hidden names, and a process that works
// on one holds its lock. The kernel releases the lock when the process ends; the next operation removes each unlocked
// entry.
import { join } from "node:path";
import { randomHex } from "../../base/random-hex.ts";
import { OPERATION_TEMPORARY_PREFIX as PREFIX } from "../../base/vocabulary/temporary.ts";
import { type Fd, openPath } from "../../kernel/file/fd.ts";
import { FileLock, isLockFree, lockWhole } from "../../kernel/file/lock.ts";
import { isErrno, SyscallError, unlessErrno, unlessSyscallError } from "../../kernel/syscall/sys.ts";
import { createSubvolume, isBtrfs } from "../../kernel/tree/btrfs.ts";
import { createDirectory, createFile, type NamedPlace, renameNew } from "../../kernel/tree/link.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { openDirectory, openForReading, type RawName, readEntries, textOf } from "../../kernel/tree/tree.ts";
import type { ImageLayout } from "./layout.ts";

const TRIES = 64;

const status = new RawStatus();

/** A temporary entry of this process. Disposing of it removes the entry, unless it was published. */
export class Temporary implements Disposable {
  readonly directory: Fd;
  readonly name: RawName;
  /** The entry itself, locked. */
  readonly fd: Fd;
  #isKept = false;

  constructor(directory: Fd, name: RawName, fd: Fd) {
    this.directory = directory;
    this.name = name;
    this.fd = fd;
  }

  /** Renames it to its final name; throws `EEXIST` when that is taken. */
  publish(name: RawName): void {
    renameNew(this, { directory: this.directory, name });
    this.#isKept = true;
  }

  /** Removes it now; throws where that fails. */
  remove(): void {
    removeTree(this.directory, this.name);
    this.#isKept = true;
  }

  [Symbol.dispose](): void {
    // Where the removal fails, the next operation finds the entry unlocked and removes it.
    if (!this.#isKept) ignoreSyscallErrors(() => removeTree(this.directory, this.name));
    this.fd.close();
  }
}

function freshName(): RawName {
  return PREFIX + randomHex(8);
}

/**
 * Makes an entry under a fresh name and locks it. Tries again where another process removed it before it was locked.
 */
function makeLocked(directory: Fd, make: (place: NamedPlace) => Fd): Temporary {
  for (let tries = 1; ; tries++) {
    const name = freshName();
    const fd = makeUnlessSwept({ directory, name }, make, tries === TRIES);
    if (fd === null) continue;
    if (lockWhole(fd) && stillThere(directory, name, fd)) return new Temporary(directory, name, fd);
    fd.close();
    if (tries === TRIES) throw new SyscallError("lock", "EBUSY", name);
  }
}

/** Returns null when the entry was removed before it was open. */
function makeUnlessSwept(place: NamedPlace, make: (place: NamedPlace) => Fd, isLast: boolean): Fd | null {
  try {
    return makeOrClean(place, make);
  } catch (error) {
    if (isErrno(error, "ENOENT") && !isLast) return null;
    throw error;
  }
}

function makeOrClean(place: NamedPlace, make: (place: NamedPlace) => Fd): Fd {
  try {
    return make(place);
  } catch (error) {
    ignoreSyscallErrors(() => removeTree(place.directory, place.name));
    throw error;
  }
}

function stillThere(directory: Fd, name: RawName, fd: Fd): boolean {
  const identity = unlessErrno(() => status.readEntry(directory, name).identity, null, "ENOENT");
  return identity !== null && identity === status.readFd(fd).identity;
}

/** Makes an empty tree: a subvolume where the file system has them, else a directory. */
export function temporaryTree(directory: Fd): Temporary {
  return makeLocked(directory, (place) => {
    if (isBtrfs(directory)) createSubvolume(directory, place.name);
    else createDirectory(place, 0o700);
    return openDirectory(directory, place.name);
  });
}

/** Makes an empty directory, never a subvolume, so that its content can be moved out of it by renaming. */
export function temporaryFolder(directory: Fd): Temporary {
  return temporaryMade(directory, (name) => createDirectory({ directory, name }, 0o700));
}

/** Makes a directory: calls `make` with a temporary name. */
export function temporaryMade(directory: Fd, make: (name: RawName) => void): Temporary {
  return makeLocked(directory, ({ name }) => {
    make(name);
    return openDirectory(directory, name);
  });
}

/** Makes an empty file. */
export function temporaryFile(directory: Fd, mode: number): Temporary {
  return makeLocked(directory, (place) => createFile(place, mode));
}

/** Renames a directory to a hidden name. Throws `EBUSY` when it is locked, or when something is mounted on it. */
export function hide(directory: Fd, name: RawName): Temporary {
  const fd = openDirectory(directory, name);
  try {
    if (!lockWhole(fd)) throw new SyscallError("lock", "EBUSY", name);
    const hidden = freshName();
    renameNew({ directory, name }, { directory, name: hidden });
    return new Temporary(directory, hidden, fd);
  } catch (error) {
    fd.close();
    throw error;
  }
}

/**
 * Removes the entries that ended processes left in a directory. An entry that cannot be removed is left for the next
 * call.
 */
function sweep(path: string): void {
  ignoreSyscallErrors(() => {
    using directory = openPath(path, "directory");
    for (const { name } of readEntries(directory)) {
      if (name.startsWith(PREFIX)) ignoreSyscallErrors(() => sweepOne(directory, name));
    }
  });
}

/** Returns the lock files of images: those beside the images, and those in the host's directory of locks. */
function lockFiles(layout: ImageLayout): string[] {
  const beside = workplaces(layout).flatMap((path) => lockFilesIn(path, LOCK_BESIDE));
  return layout.locks === null ? beside : [...beside, ...lockFilesIn(layout.locks, ANY_LOCK)];
}

const LOCK_BESIDE = /^\.#.*\.lck$/s;
const ANY_LOCK = /^/;

function lockFilesIn(path: string, pattern: RegExp): string[] {
  const found: string[] = [];
  ignoreSyscallErrors(() => {
    using directory = openPath(path, "directory");
    for (const { name, kind } of readEntries(directory)) {
      if (kind === "regular" && pattern.test(name)) found.push(join(path, textOf(name)));
    }
  });
  return found;
}

/** Removes leftovers from all directories in which operations make entries, and the lock files of killed operations. */
export function sweepAll(layout: ImageLayout): void {
  for (const directory of workplaces(layout)) sweep(directory);
  // A lock file that can be locked has no owner: releasing it removes it.
  for (const path of lockFiles(layout)) ignoreSyscallErrors(() => FileLock.take(path, "exclusive")[Symbol.dispose]());
}

/** Whether any directory has an entry that may be left over. */
export function hasLeftovers(layout: ImageLayout): boolean {
  return workplaces(layout).some(hasTemporaries) || lockFiles(layout).some(isLeftOver);
}

/** Returns false where that cannot be found out now: the file stays for the next time. */
function isLeftOver(lock: string): boolean {
  return unlessSyscallError(() => isLockFree(lock), false);
}

function workplaces(layout: ImageLayout): string[] {
  return [...new Set([layout.pool, ...layout.searchPath, ...layout.settings])];
}

/** Runs `act`, and ignores a failed system call (a file is missing, a directory cannot be written). */
export function ignoreSyscallErrors(act: () => void): void {
  unlessSyscallError(act, undefined);
}

/**
 * Whether a directory has temporary entries. Reads names only: an entry may be in use. Returns false for a directory
 * that cannot be read now; it is swept the next time.
 */
function hasTemporaries(path: string): boolean {
  return unlessSyscallError(() => {
    using directory = openPath(path, "directory");
    return readEntries(directory).some(({ name }) => name.startsWith(PREFIX));
  }, false);
}

function sweepOne(directory: Fd, name: RawName): void {
  const { kind } = status.readEntry(directory, name);
  using fd = kind === "directory" ? openDirectory(directory, name) : openForReading(directory, name);
  if (lockWhole(fd)) removeTree(directory, name);
}
