// File locks, without waiting. There are two kinds, independent of each other: open file description locks on lock
// files, as systemd uses them for images (fcntl(2), F_OFD_SETLK), and flock(2), which also works on directories.
import { AT_FDCWD, EACCES, EAGAIN, O_CLOEXEC, O_CREAT, O_NOCTTY, O_NOFOLLOW, O_RDWR } from "../syscall/constants.ts";
import { pinForever, scratchString } from "../syscall/mem.ts";
import { check, isErrno, SyscallError, trySys } from "../syscall/sys.ts";
import { Fd, statFd, statPath } from "./fd.ts";

export type LockMode = "shared" | "exclusive";

const [F_OFD_GETLK, F_OFD_SETLK] = [36, 37];
const [F_RDLCK, F_WRLCK, F_UNLCK] = [0, 1, 2];

// struct flock { 0 short l_type; 2 short l_whence; 8 off_t l_start; 16 off_t l_len; 24 pid_t l_pid; } 32 bytes
const record = pinForever(32);

function openLock(path: string, creation: number): Fd {
  const flags = O_RDWR | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW | creation;
  return Fd.adopt(check(trySys("openat", AT_FDCWD, scratchString(path), flags, 0o600), "open", path));
}

/** Returns whether the existing lock file at `path` is not locked. Does not take the lock, not even for a moment. */
export function isLockFree(path: string): boolean {
  using fd = openLock(path, 0);
  record.bytes.fill(0);
  record.view.setInt16(0, F_WRLCK, true);
  check(trySys("fcntl", fd.number, F_OFD_GETLK, record), "lock", path);
  return record.view.getInt16(0, true) === F_UNLCK;
}

function lockRecord(fd: Fd, mode: LockMode): boolean {
  record.bytes.fill(0);
  record.view.setInt16(0, mode === "shared" ? F_RDLCK : F_WRLCK, true);
  const result = trySys("fcntl", fd.number, F_OFD_SETLK, record);
  if (result === EAGAIN || result === EACCES) return false;
  check(result, "lock");
  return true;
}

/** A lock on a lock file that exists only while it is locked. */
export class FileLock implements Disposable {
  readonly path: string;
  readonly #fd: Fd;

  private constructor(path: string, fd: Fd) {
    this.path = path;
    this.#fd = fd;
  }

  /** Takes the lock; makes the file where it is missing. Throws `EBUSY` where another process holds it. */
  static take(path: string, mode: LockMode): FileLock {
    for (;;) {
      const fd = openLock(path, O_CREAT);
      try {
        if (!lockRecord(fd, mode)) throw new SyscallError("lock", "EBUSY", path);
        // The previous holder may have removed the file after we opened it.
        if (statFd(fd).nlink > 0) return new FileLock(path, fd);
      } catch (error) {
        fd.close();
        throw error;
      }
      fd.close();
    }
  }

  /**
   * Releases the lock; the last holder removes the file. Harmless if repeated, even if another process has made a new
   * file.
   */
  [Symbol.dispose](): void {
    if (!this.#fd.isOpen) return;
    try {
      if (isAt(this.#fd, this.path) && lockRecord(this.#fd, "exclusive")) {
        check(trySys("unlinkat", AT_FDCWD, scratchString(this.path), 0), "unlink");
      }
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
    }
    this.#fd.close();
  }
}

/** Returns whether `path` still leads to the file of `fd`, and not to a replacement. */
export function isAt(fd: Fd, path: string): boolean {
  try {
    const [open, named] = [statFd(fd), statPath(path, "no-follow")];
    return open.dev === named.dev && open.ino === named.ino;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

const FLOCK: Readonly<Record<LockMode, number>> = { shared: 1 | 4, exclusive: 2 | 4 };

/**
 * Locks a file or directory by flock(2) until its descriptors are closed; returns false where another process or open
 * file has a conflicting lock.
 */
export function lockWhole(fd: Fd, mode: LockMode = "exclusive"): boolean {
  const result = trySys("flock", fd.number, FLOCK[mode]);
  if (result === EAGAIN) return false;
  check(result, "flock");
  return true;
}
