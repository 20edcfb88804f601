// Locks that keep containers and tools of this host off an image, and them off ours: the same files that systemd-nspawn
// and the image tools of systemd use. One beside the image, which holds across hosts that share the directory, and one
// for the inode, which holds whatever the path.
import { mkdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { statPath } from "../kernel/fd.ts";
import { FileLock, type LockMode } from "../kernel/file-lock.ts";
import { isErrno, SyscallError } from "../kernel/sys.ts";
import { HOST_IMAGE } from "./image.ts";

/** Locks that belong together. */
export class ImageLock implements Disposable {
  readonly #locks: readonly FileLock[];

  constructor(locks: readonly FileLock[]) {
    this.#locks = locks;
  }

  [Symbol.dispose](): void {
    for (const lock of this.#locks) lock[Symbol.dispose]();
  }
}

const NO_LOCK = new ImageLock([]);

/**
 * Locks the image at `path`; `EBUSY` when it is in use. The host's own tree is in use for ever, so that it cannot be
 * changed, and needs no lock to be read. `directory` is where the lock files of this host are, null for no locking.
 */
export function lockImage(directory: string | null, path: string, mode: LockMode): ImageLock {
  if (path === "/") {
    if (mode === "exclusive") throw new SyscallError("lock", "EBUSY", path);
    return NO_LOCK;
  }
  if (directory === null) return NO_LOCK;
  const beside = path.startsWith("/dev/") ? null : lockBeside(path, mode);
  try {
    const inode = FileLock.take(join(lockDirectory(directory), inodeName(path)), mode);
    return new ImageLock(beside === null ? [inode] : [inode, beside]);
  } catch (error) {
    beside?.[Symbol.dispose]();
    throw error;
  }
}

/**
 * What cannot be written needs no protection from those who share it only to read, and a name that leaves no room for a
 * lock's is protected on this host alone.
 */
function lockBeside(path: string, mode: LockMode): FileLock | null {
  try {
    return FileLock.take(join(dirname(path), `.#${basename(path)}.lck`), mode);
  } catch (error) {
    if (isErrno(error, "ENAMETOOLONG") || (mode === "shared" && isErrno(error, "EROFS"))) return null;
    throw error;
  }
}

function inodeName(path: string): string {
  const { kind, dev, ino, rdev } = statPath(path);
  if (kind === "block") return `block-${rdev.major}:${rdev.minor}`;
  if (kind === "directory" || kind === "regular") return `inode-${dev}:${ino}`;
  throw new SyscallError("lock", "ENOTTY", path);
}

/** Reserves a name against others who would make an image of it; `EBUSY` when somebody else does. */
export function lockName(directory: string | null, name: string): ImageLock {
  if (name === HOST_IMAGE) throw new SyscallError("lock", "EBUSY", name);
  if (directory === null) return NO_LOCK;
  try {
    return new ImageLock([FileLock.take(join(lockDirectory(directory), `name-${name}`), "exclusive")]);
  } catch (error) {
    if (isErrno(error, "ENAMETOOLONG")) return NO_LOCK;
    throw error;
  }
}

function lockDirectory(directory: string): string {
  mkdirSync(dirname(directory), { recursive: true, mode: 0o755 });
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  return directory;
}
