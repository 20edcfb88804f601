// Locks on files, taken at once or not at all. Two kinds that do not see each other: record locks of open files, which
// containers and image tools take on lock files (fcntl(2), F_OFD_SETLK), and flock(2), which directories can have too.

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

/** Whether nobody holds the lock file at `path`, which is there; looking does not keep anybody from taking it. */
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

/** A lock on a lock file, which is there only while somebody holds it. */
export class FileLock implements Disposable {
  readonly path: string;
  readonly #fd: Fd;

  private constructor(path: string, fd: Fd) {
    this.path = path;
    this.#fd = fd;
  }

  /** Takes the lock, making the file where it is missing. `EBUSY` when somebody else has it. */
  static take(path: string, mode: LockMode): FileLock {
    for (;;) {
      const fd = openLock(path, O_CREAT);
      try {
        if (!lockRecord(fd, mode)) throw new SyscallError("lock", "EBUSY", path);
        // Whoever held it before may have removed the file since we opened it.
        if (statFd(fd).nlink > 0) return new FileLock(path, fd);
      } catch (error) {
        fd.close();
        throw error;
      }
      fd.close();
    }
  }

  /** Ends the lock. Whoever is the last removes the file. Ending it twice touches nobody's later lock of that name. */
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

/** Whether `path` names the file that `fd` is open on, and not one that took its place. */
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

/** Takes the whole file that `fd` is open on for as long as it is open; false when another open file has it. */
export function lockWhole(fd: Fd, mode: LockMode = "exclusive"): boolean {
  const result = trySys("flock", fd.number, FLOCK[mode]);
  if (result === EAGAIN) return false;
  check(result, "flock");
  return true;
}
