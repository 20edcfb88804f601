// Temporary entries: files that are not yet, or no longer, an image. They have hidden names, and a process that works
// on one holds its lock. The kernel releases the lock when the process ends; the next operation removes each unlocked
// entry (sweep.ts).
import { randomHex } from "../../base/random-hex.ts";
import { OPERATION_TEMPORARY_PREFIX as PREFIX } from "../../base/vocabulary/temporary.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { lockWhole } from "../../kernel/file/lock.ts";
import { isErrno, SyscallError, unlessErrno, unlessSyscallError } from "../../kernel/syscall/sys.ts";
import { createSubvolume, isBtrfs } from "../../kernel/tree/btrfs.ts";
import { createDirectory, createFile, type NamedPlace, renameNew } from "../../kernel/tree/link.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { openDirectory, type RawName } from "../../kernel/tree/tree.ts";

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

function freshName(suffix = ""): RawName {
  return PREFIX + randomHex(8) + suffix;
}

/**
 * Makes an entry under a fresh name and locks it. Tries again where another process removed it before it was locked.
 */
function makeLocked(directory: Fd, make: (place: NamedPlace) => Fd, suffix = ""): Temporary {
  for (let tries = 1; ; tries++) {
    const name = freshName(suffix);
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

/** Makes an empty file, whose name ends with `suffix`. */
export function temporaryFile(directory: Fd, mode: number, suffix = ""): Temporary {
  return makeLocked(directory, (place) => createFile(place, mode), suffix);
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

/** Runs `act`, and ignores a failed system call (a file is missing, a directory cannot be written). */
export function ignoreSyscallErrors(act: () => void): void {
  unlessSyscallError(act, undefined);
}
