// Locks of images, shared with containers and tools of this host: the same files that systemd-nspawn and the image
// tools of systemd use, locked with record locks of open files. One is beside the image and works across hosts that
// share the directory, one is for the inode and works for every path, and one reserves the name of an image that is
// being made. Every program of ours that makes, changes, removes or reads an image takes its locks from here.
import { mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { type Fd, openPath, statFd, statPath } from "../../kernel/file/fd.ts";
import { FileLock, isAt, type LockMode, lockWhole } from "../../kernel/file/lock.ts";
import type { FileStatus } from "../../kernel/file/status.ts";
import { isErrno, SyscallError, unlessErrno } from "../../kernel/syscall/sys.ts";
import { HOST_IMAGE } from "./image.ts";

/** Locks that are released together. */
export class ImageLock implements Disposable {
  readonly #locks: readonly Disposable[];

  constructor(locks: readonly Disposable[]) {
    this.#locks = locks;
  }

  [Symbol.dispose](): void {
    for (const lock of this.#locks) lock[Symbol.dispose]();
  }
}

const NO_LOCK = new ImageLock([]);

/**
 * Locks the image at `path`; throws `EBUSY` when it is in use. The host's own tree is always in use, so that it cannot
 * be changed, and needs no lock to be read. `directory` holds the lock files of this host; null for no locking.
 */
export function lockImage(directory: string | null, path: string, mode: LockMode): ImageLock {
  if (path === "/") {
    if (mode === "exclusive") throw new SyscallError("lock", "EBUSY", path);
    return NO_LOCK;
  }
  if (directory === null) return NO_LOCK;
  return lockBoth(directory, path, mode, () => statPath(path));
}

/** Locks an image that `file` is open on and that is, or is about to be, at `path`. */
export function lockImageFile(directory: string | null, path: string, file: Fd, mode: LockMode): ImageLock {
  return directory === null ? NO_LOCK : lockBoth(directory, path, mode, () => statFd(file));
}

/**
 * Where the disk of the image has no room for the lock file beside it, nobody has locked that file, which does not
 * exist: the lock of the inode is enough then, so that an image can be removed from a full disk.
 */
function lockBoth(directory: string, path: string, mode: LockMode, status: () => FileStatus): ImageLock {
  const full = path.startsWith("/dev/") ? null : besideUnlessFull(path, mode);
  const beside = full instanceof SyscallError ? null : full;
  try {
    const inode = lockInode(directory, status(), mode, path);
    if (inode === null && full instanceof SyscallError) throw full;
    return new ImageLock([inode, beside].filter((lock) => lock !== null));
  } catch (error) {
    beside?.[Symbol.dispose]();
    throw error;
  }
}

/** As lockBeside(), but returns the error of a full disk. */
function besideUnlessFull(path: string, mode: LockMode): FileLock | SyscallError | null {
  try {
    return lockBeside(path, mode);
  } catch (error) {
    if (error instanceof SyscallError && isErrno(error, "ENOSPC", "EDQUOT")) return error;
    throw error;
  }
}

/**
 * Locks a path where an image is about to be made, with the lock file that systemd-nspawn and systemd's image tools
 * use. Throws `EBUSY` when an existing image at that path is in use.
 */
export function lockPlace(directory: string | null, path: string): ImageLock {
  if (directory === null) return NO_LOCK;
  const beside = lockBeside(path, "exclusive");
  try {
    lockReplaced(directory, path)?.[Symbol.dispose]();
    return new ImageLock(beside === null ? [] : [beside]);
  } catch (error) {
    beside?.[Symbol.dispose]();
    throw error;
  }
}

/**
 * Locks the image at `path` for its removal by the owner of the lock of that path. Returns null when there is nothing
 * to lock.
 */
export function lockReplaced(directory: string | null, path: string): Disposable | null {
  if (directory === null) return null;
  const lock = () => {
    const status = statPath(path, "no-follow");
    // Of a link, the link alone is removed.
    return INODE_KINDS.has(status.kind) ? lockInode(directory, status, "exclusive", path) : null;
  };
  return unlessErrno(lock, null, "ENOENT");
}

/**
 * Takes the lock file beside an image. Returns null for a shared lock on a read-only file system. Where `.#NAME.lck`
 * would be too long for a file name, a hash replaces NAME; other programs cannot lock such an image.
 */
function lockBeside(path: string, mode: LockMode): FileLock | null {
  const inDirectory = (name: string) => FileLock.take(join(dirname(path), name), mode);
  try {
    return inDirectory(fitting(basename(path), (name) => `.#${name}.lck`));
  } catch (error) {
    if (mode === "shared" && isErrno(error, "EROFS")) return null;
    throw error;
  }
}

const NAME_MAX_BYTES = 255;

function fitting(name: string, lockOf: (name: string) => string): string {
  const plain = lockOf(name);
  if (Buffer.byteLength(plain) <= NAME_MAX_BYTES) return plain;
  return lockOf(`#${new Bun.CryptoHasher("sha256").update(name).digest("hex")}`);
}

const INODE_KINDS: ReadonlySet<string> = new Set(["directory", "regular", "block"]);

function lockInode(directory: string, status: FileStatus, mode: LockMode, path: string): FileLock | null {
  return inLockDirectory(directory, inodeName(status, path), mode);
}

function inodeName({ kind, dev, ino, rdev }: FileStatus, path: string): string {
  if (!INODE_KINDS.has(kind)) throw new SyscallError("lock", "ENOTTY", path);
  return kind === "block" ? `block-${rdev.major}:${rdev.minor}` : `inode-${dev}:${ino}`;
}

/** Reserves a name for an image that is about to be made; throws `EBUSY` when another process has reserved it. */
export function lockName(directory: string | null, name: string): ImageLock {
  if (name === HOST_IMAGE) throw new SyscallError("lock", "EBUSY", name);
  if (directory === null) return NO_LOCK;
  const lock = inLockDirectory(
    directory,
    fitting(name, (fit) => `name-${fit}`),
    "exclusive",
  );
  return lock === null ? NO_LOCK : new ImageLock([lock]);
}

/** Takes a lock in the directory of this host; returns null for users who may not write there. */
function inLockDirectory(directory: string, name: string, mode: LockMode): FileLock | null {
  try {
    mkdirSync(dirname(directory), { recursive: true, mode: 0o755 });
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    return FileLock.take(join(directory, name), mode);
  } catch (error) {
    if (process.geteuid?.() !== 0 && isDenied(error)) return null;
    throw error;
  }
}

function isDenied(error: unknown): boolean {
  const code = (error as { code?: unknown }).code;
  return isErrno(error, "EACCES", "EPERM", "EROFS") || code === "EACCES" || code === "EPERM" || code === "EROFS";
}

/** An image that is being copied: open and locked, so that no program of ours removes or replaces it meanwhile. */
export class HeldImage implements Disposable {
  readonly fd: Fd;
  readonly #path: string;
  readonly #locks: Disposable;

  private constructor(fd: Fd, path: string, locks: Disposable) {
    this.fd = fd;
    this.#path = path;
    this.#locks = locks;
  }

  /**
   * Opens and locks the image. Throws `EBUSY` when it is in use, `ENOENT` when it does not exist, or no longer does
   * once it is locked. Without a `directory` of locks it is protected against our own removals only, and machines may
   * run from it.
   */
  static open(directory: string | null, path: string, kind: "directory" | "read"): HeldImage {
    const fd = openPath(path, kind);
    let locks: Disposable = NO_LOCK;
    try {
      locks = lockImageFile(directory, path, fd, "shared");
      if (!lockWhole(fd, "shared")) throw new SyscallError("lock", "EBUSY", path);
      if (!isAt(fd, path)) throw new SyscallError("open", "ENOENT", path);
      return new HeldImage(fd, path, locks);
    } catch (error) {
      locks[Symbol.dispose]();
      fd.close();
      throw error;
    }
  }

  /**
   * Throws `ENOENT` when a program that takes no locks has removed the image: the data read from it is then incomplete.
   */
  requireThere(): void {
    if (!isAt(this.fd, this.#path)) throw new SyscallError("open", "ENOENT", this.#path);
  }

  [Symbol.dispose](): void {
    this.#locks[Symbol.dispose]();
    this.fd.close();
  }
}
