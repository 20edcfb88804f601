// Descriptors as objects with an owner. A function that returns an Fd passes the ownership to its caller, who closes it
// (`using`) or releases it (`take()`). All files opened here are close-on-exec, do not wait for the other end of a
// fifo, and do not become a controlling terminal. See open(2), openat2(2).
import { errnoName } from "../../base/errno.ts";
import {
  AT_FDCWD,
  EAGAIN,
  F_DUPFD_CLOEXEC,
  F_GETFL,
  F_SETFL,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDWR,
  O_WRONLY,
  RESOLVE_BENEATH,
  RESOLVE_IN_ROOT,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
} from "../syscall/constants.ts";
import { type Pinned, pinForever, scratchString } from "../syscall/mem.ts";
import { check, isErrno, SyscallError, trySys } from "../syscall/sys.ts";
import { type FileKind, type FileStatus, kindOfOpen, type LinkPolicy, statusOf } from "./status.ts";

/**
 * What a file is opened for. `path` is O_PATH: it identifies the file without opening it, so drivers and fifos are not
 * affected.
 */
type OpenMode = "read" | "path" | "path-no-follow" | "directory" | "write" | "read-write" | "pty-master";

/** The flags of openat(2) for each mode. */
export const OPEN_FLAGS: Readonly<Record<OpenMode, number>> = {
  read: O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
  path: O_CLOEXEC | O_PATH,
  "path-no-follow": O_CLOEXEC | O_PATH | O_NOFOLLOW,
  directory: O_CLOEXEC | O_DIRECTORY | O_NOCTTY | O_NONBLOCK,
  write: O_CLOEXEC | O_WRONLY | O_NOCTTY | O_NONBLOCK,
  "read-write": O_CLOEXEC | O_RDWR | O_NOCTTY | O_NONBLOCK,
  "pty-master": O_CLOEXEC | O_RDWR | O_NOCTTY | O_NONBLOCK,
};

function closeNow(number: number): void {
  trySys("close", number);
}

/** A descriptor that we own. It is closed once; using it afterwards throws `EBADF`. */
export class Fd implements Disposable {
  #number: number;
  #watch: { stop(): void } | undefined;
  readonly #closeNumber: (number: number) => void;

  private constructor(number: number, closeNumber: (number: number) => void) {
    this.#number = number;
    this.#closeNumber = closeNumber;
  }

  /** Takes ownership of the descriptor `number`: only this object may close it. `closeNumber` replaces close(2). */
  static adopt(number: number, closeNumber: (number: number) => void = closeNow): Fd {
    if (!Number.isInteger(number) || number < 0) throw new SyscallError("adopt", "EBADF", String(number));
    return new Fd(number, closeNumber);
  }

  /** Takes ownership of a descriptor that was inherited from the parent process, and makes it close-on-exec. */
  static inherited(number: number): Fd {
    const [F_SETFD, FD_CLOEXEC] = [2, 1];
    check(trySys("fcntl", number, F_SETFD, FD_CLOEXEC), "fcntl", String(number));
    return Fd.adopt(number);
  }

  /** The number; throws `EBADF` after it was closed. */
  get number(): number {
    if (this.#number < 0) throw new SyscallError("fd", "EBADF");
    return this.#number;
  }

  get isOpen(): boolean {
    return this.#number >= 0;
  }

  /** Releases the descriptor without closing it: the caller owns the returned number. */
  take(): number {
    const number = this.number;
    this.#forget();
    return number;
  }

  /** Returns a second descriptor of the same open file description, close-on-exec, not below 3. */
  duplicate(): Fd {
    return new Fd(check(trySys("fcntl", this.number, F_DUPFD_CLOEXEC, 3), "dup"), this.#closeNumber);
  }

  /** Closes it, unless it is closed already. Errors are ignored, because the descriptor is closed in any case. */
  close(): void {
    if (this.#number < 0) return;
    const number = this.#number;
    this.#forget();
    this.#closeNumber(number);
  }

  /**
   * Sets the watch to stop before the descriptor is closed or taken; replaces an earlier one. A watch that outlives its
   * descriptor would act on the file that gets the number next.
   */
  onClose(watch: { stop(): void } | undefined): void {
    this.#watch = watch;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #forget(): void {
    const watch = this.#watch;
    this.#watch = undefined;
    watch?.stop();
    this.#number = -1;
  }
}

/** Whether this process may open so many files now. Opens and closes them. */
export function hasFreeDescriptors(count: number): boolean {
  using taken = new DisposableStack();
  try {
    const first = taken.use(openPath("/", "path"));
    for (let i = 1; i < count; i++) taken.use(first.duplicate());
    return true;
  } catch (error) {
    if (!isErrno(error, "EMFILE", "ENFILE")) throw error;
    return false;
  }
}

/** Opens `path`; throws a SyscallError that names the path. */
export function openPath(path: string, mode: OpenMode): Fd {
  return Fd.adopt(check(trySys("openat", AT_FDCWD, scratchString(path), OPEN_FLAGS[mode]), "open", path));
}

/**
 * Opens `path`, relative to `directory` if it is not null; returns null where the kernel returns one of the errors in
 * `absent`, e.g. "ENOENT". Cheaper than openAt() where many of the paths do not exist: no error is made for them.
 */
export function openUnless(absent: readonly string[], directory: Fd | null, path: string, mode: OpenMode): Fd | null {
  const at = directory?.number ?? AT_FDCWD;
  const result = trySys("openat", at, scratchString(path), OPEN_FLAGS[mode]);
  if (result < 0 && absent.includes(errnoName(-result))) return null;
  return Fd.adopt(check(result, "open", path));
}

/** Opens `path` relative to `directory`. Follows symbolic links, also out of it: only for trusted trees. */
export function openAt(directory: Fd, path: string, mode: OpenMode): Fd {
  return Fd.adopt(check(trySys("openat", directory.number, scratchString(path), OPEN_FLAGS[mode]), "open", path));
}

/**
 * Opens `path` as a process with the root directory `root` would: absolute links and `..` stay inside; magic links of
 * /proc are refused (`ELOOP`). For untrusted trees.
 */
export function openInRoot(root: Fd, path: string, mode: OpenMode): Fd {
  return openResolved(root, path, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/**
 * Opens `path` below `directory` without following symbolic links. Throws `ELOOP` for a link, `EXDEV` where `..` leads
 * out.
 */
export function openBeneath(directory: Fd, path: string, mode: OpenMode): Fd {
  return openResolved(directory, path, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
}

// struct open_how { __u64 flags; __u64 mode; __u64 resolve; }
const openHow = pinForever(24);

function openResolved(root: Fd, path: string, mode: OpenMode, resolve: number): Fd {
  openHow.view.setBigUint64(0, BigInt(OPEN_FLAGS[mode]), true);
  openHow.view.setBigUint64(16, BigInt(resolve), true);
  const address = scratchString(path);
  let result = EAGAIN;
  // The kernel returns EAGAIN where a rename or mount anywhere on the system happened during the walk.
  for (let tries = 0; tries < 128 && result === EAGAIN; tries++) {
    result = trySys("openat2", root.number, address, openHow, openHow.size);
  }
  return Fd.adopt(check(result, "open", path));
}

/** Opens the file of `fd`, which may be O_PATH, a second time, without resolving its path again. */
export function reopen(fd: Fd, mode: OpenMode): Fd {
  return openPath(`/proc/self/fd/${fd.number}`, mode);
}

const linkText = pinForever(4096);

/** Returns the target of the symbolic link `path` relative to `directory` (null: to our working directory). */
export function readLinkAt(directory: Fd | null, path: string): string {
  const at = directory?.number ?? AT_FDCWD;
  const length = trySys("readlinkat", at, scratchString(path), linkText, linkText.size);
  return linkText.bytes.toString("utf8", 0, check(length, "readlink", path));
}

/** Sets or clears O_NONBLOCK, which all duplicates of the descriptor share. */
export function setNonblocking(fd: Fd, on: "on" | "off" = "on"): void {
  const flags = check(trySys("fcntl", fd.number, F_GETFL), "fcntl");
  check(trySys("fcntl", fd.number, F_SETFL, on === "on" ? flags | O_NONBLOCK : flags & ~O_NONBLOCK), "fcntl");
}

/** Returns a second descriptor of the same open file description that stays open across execve(2). */
export function inheritable(fd: Fd): Fd {
  const [F_DUPFD, LOWEST] = [0, 3];
  return Fd.adopt(check(trySys("fcntl", fd.number, F_DUPFD, LOWEST), "dup"));
}

/** Replaces standard input by /dev/null, before execve(2). */
export function discardStandardInput(): void {
  using nothing = openPath("/dev/null", "read");
  replaceStandard(0, nothing);
}

/** Replaces one of our standard descriptors by a duplicate of `file`, which stays open across execve(2). */
export function replaceStandard(number: 0 | 1 | 2, file: Fd): void {
  check(trySys("dup3", file.number, number, 0), "dup");
}

/** Calls ioctl(2) with a number or structure as argument; returns the kernel's result. Only for src/kernel. */
export function ioctl(fd: Fd, request: number, argument: number | Pinned = 0): number {
  return check(trySys("ioctl", fd.number, request, argument), "ioctl");
}

/** Returns the status of an open file, O_PATH included. */
export function statFd(fd: Fd): FileStatus {
  return statusOf(fd.number, "", "follow");
}

/** Returns the kind of an open file. Unlike `statFd()`, it never blocks on the file system. */
export function kindOfFd(fd: Fd): FileKind {
  return kindOfOpen(fd.number);
}

/** Returns the status of `path`; `links` says whether a symbolic link at its end is followed. */
export function statPath(path: string, links: LinkPolicy = "follow"): FileStatus {
  if (path === "") throw new SyscallError("stat", "ENOENT", path);
  return statusOf(null, path, links);
}

/** Returns the status of `path` relative to `directory`, whose tree must be trusted. */
export function statAt(directory: Fd, path: string, links: LinkPolicy = "follow"): FileStatus {
  return statusOf(directory.number, path, links);
}

/** Returns a duplicate of one of our standard descriptors, close-on-exec. */
export function copyStandard(number: 0 | 1 | 2): Fd {
  const LOWEST = 3;
  return Fd.adopt(check(trySys("fcntl", number, F_DUPFD_CLOEXEC, LOWEST), "dup"));
}
