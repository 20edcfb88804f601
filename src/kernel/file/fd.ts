// Open files as values with an owner. A function that creates an Fd hands it to its caller, who closes it (`using`) or
// passes it on (`take()`). Everything opened here is close-on-exec, never waits for a fifo's other end, and never
// becomes a controlling terminal. See open(2), openat2(2).

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
import { check, SyscallError, trySys } from "../syscall/sys.ts";
import { type FileKind, type FileStatus, kindOfOpen, type LinkPolicy, statusOf } from "./status.ts";

/** What a file is opened for. `path` names it without opening it: no driver and no fifo notices. */
type OpenMode = "read" | "path" | "path-no-follow" | "directory" | "write" | "read-write" | "pty-master";

const OPEN_FLAGS: Readonly<Record<OpenMode, number>> = {
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

/** An open file description of ours. Closed once; using it afterwards throws `EBADF`. */
export class Fd implements Disposable {
  #number: number;
  #beforeClose: (() => void) | undefined;
  readonly #closeNumber: (number: number) => void;

  private constructor(number: number, closeNumber: (number: number) => void) {
    this.#number = number;
    this.#closeNumber = closeNumber;
  }

  /** Takes over the descriptor `number`, which nobody else may close from now on. `closeNumber` replaces close(2). */
  static adopt(number: number, closeNumber: (number: number) => void = closeNow): Fd {
    if (!Number.isInteger(number) || number < 0) throw new SyscallError("adopt", "EBADF", String(number));
    return new Fd(number, closeNumber);
  }

  /** Takes over a descriptor that a parent process left open for us, so that our own children do not get it. */
  static inherited(number: number): Fd {
    const [F_SETFD, FD_CLOEXEC] = [2, 1];
    check(trySys("fcntl", number, F_SETFD, FD_CLOEXEC), "fcntl", String(number));
    return Fd.adopt(number);
  }

  get number(): number {
    if (this.#number < 0) throw new SyscallError("fd", "EBADF");
    return this.#number;
  }

  get isOpen(): boolean {
    return this.#number >= 0;
  }

  /** Gives the descriptor away: the caller closes the number, this object is closed. */
  take(): number {
    const number = this.number;
    this.#forget();
    return number;
  }

  /** A second descriptor of the same open file, close-on-exec, never below 3. */
  duplicate(): Fd {
    return new Fd(check(trySys("fcntl", this.number, F_DUPFD_CLOEXEC, 3), "dup"), this.#closeNumber);
  }

  /** Closes it; closing twice is harmless. Errors are not reported: the descriptor is gone in any case. */
  close(): void {
    if (this.#number < 0) return;
    const number = this.#number;
    this.#forget();
    this.#closeNumber(number);
  }

  /**
   * Calls `hook` before the descriptor is closed or taken, in place of an earlier hook. The poller leaves its watch here:
   * a watch that outlives its descriptor would act on whatever file gets the number next.
   */
  onClose(hook: (() => void) | undefined): void {
    this.#beforeClose = hook;
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #forget(): void {
    const hook = this.#beforeClose;
    this.#beforeClose = undefined;
    hook?.();
    this.#number = -1;
  }
}

/** Opens `path` of our own mount namespace; SyscallError names the path. */
export function openPath(path: string, mode: OpenMode): Fd {
  return Fd.adopt(check(trySys("openat", AT_FDCWD, scratchString(path), OPEN_FLAGS[mode]), "open", path));
}

/** Opens `path` relative to `directory`. Symbolic links are followed, also out of it: for trusted trees. */
export function openAt(directory: Fd, path: string, mode: OpenMode): Fd {
  return Fd.adopt(check(trySys("openat", directory.number, scratchString(path), OPEN_FLAGS[mode]), "open", path));
}

/**
 * Opens `path` as a process whose root directory is `root` would: absolute links and `..` stay inside, links of /proc
 * that jump elsewhere are refused (`ELOOP`). For trees that belong to somebody else.
 */
export function openInRoot(root: Fd, path: string, mode: OpenMode): Fd {
  return openResolved(root, path, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/** Opens `path` below `directory` without following any symbolic link; `EXDEV` or `ELOOP` where the path leads out. */
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
  // A rename or mount anywhere on the system during the walk makes the kernel return EAGAIN: the call is repeated.
  for (let tries = 0; tries < 128 && result === EAGAIN; tries++) {
    result = trySys("openat2", root.number, address, openHow, openHow.size);
  }
  return Fd.adopt(check(result, "open", path));
}

/** Opens anew what `fd` refers to, also an O_PATH descriptor, without walking its path again. */
export function reopen(fd: Fd, mode: OpenMode): Fd {
  return openPath(`/proc/self/fd/${fd.number}`, mode);
}

const linkText = pinForever(4096);

/** The target of the symbolic link `path` below `directory` (null: our working directory, or an absolute path). */
export function readLinkAt(directory: Fd | null, path: string): string {
  const at = directory?.number ?? AT_FDCWD;
  const length = trySys("readlinkat", at, scratchString(path), linkText, linkText.size);
  return linkText.bytes.toString("utf8", 0, check(length, "readlink", path));
}

/** Makes reads and writes of `fd` return at once instead of waiting; it holds for all duplicates. */
export function setNonblocking(fd: Fd, on: "on" | "off" = "on"): void {
  const flags = check(trySys("fcntl", fd.number, F_GETFL), "fcntl");
  check(trySys("fcntl", fd.number, F_SETFL, on === "on" ? flags | O_NONBLOCK : flags & ~O_NONBLOCK), "fcntl");
}

/** A second descriptor of the same open file that stays open in a program which takes this process over. The caller closes it. */
export function inheritable(fd: Fd): Fd {
  const [F_DUPFD, LOWEST] = [0, 3];
  return Fd.adopt(check(trySys("fcntl", fd.number, F_DUPFD, LOWEST), "dup"));
}

/** Puts /dev/null in the place of standard input, for a program that takes this process over. */
export function discardStandardInput(): void {
  using nothing = openPath("/dev/null", "read");
  replaceStandard(0, nothing);
}

/** Has one of our standard descriptors lead to another file, for programs that we become. */
export function replaceStandard(number: 0 | 1 | 2, file: Fd): void {
  check(trySys("dup3", file.number, number, 0), "dup");
}

/** ioctl(2) with a number or a structure as argument; returns the kernel's result. For modules of this layer. */
export function ioctl(fd: Fd, request: number, argument: number | Pinned = 0): number {
  return check(trySys("ioctl", fd.number, request, argument), "ioctl");
}

/** The status of an open file, O_PATH included. */
export function statFd(fd: Fd): FileStatus {
  return statusOf(fd.number, "", "follow");
}

/** What kind of file is open. It never waits for a file system, as `statFd()` may. */
export function kindOfFd(fd: Fd): FileKind {
  return kindOfOpen(fd.number);
}

/** The status of `path`; a symbolic link at its end is followed unless `links` says otherwise. */
export function statPath(path: string, links: LinkPolicy = "follow"): FileStatus {
  if (path === "") throw new SyscallError("stat", "ENOENT", path);
  return statusOf(null, path, links);
}

/** The status of `path` below the trusted `directory`. */
export function statAt(directory: Fd, path: string, links: LinkPolicy = "follow"): FileStatus {
  return statusOf(directory.number, path, links);
}

const chunk = pinForever(64 * 1024);

/**
 * The content of the regular file `fd` is open on, from its beginning. `EBADF` ("Not a regular file") for anything else,
 * `EFBIG` for a file of more than `limitBytes`. Files of /proc, whose size reads 0, are read to their end.
 */
export function readRegular(fd: Fd, limitBytes: number): Buffer {
  const status = statFd(fd);
  requireRegular(status.kind, undefined);
  if (status.size > limitBytes) throw new SyscallError("read", "EFBIG");
  const parts: Buffer[] = [];
  let total = 0;
  for (;;) {
    // One byte more than allowed tells a file that grew, or whose size is not known, from one that fits.
    const wanted = Math.min(chunk.size, limitBytes + 1 - total);
    const count = check(trySys("pread64", fd.number, chunk, wanted, total), "read");
    if (count === 0) return Buffer.concat(parts, total);
    total += count;
    if (total > limitBytes) throw new SyscallError("read", "EFBIG");
    parts.push(Buffer.from(chunk.bytes.subarray(0, count)));
  }
}

/**
 * The content of the regular file `path` below the foreign `root`. The file is named first and opened only when it is
 * regular, so a fifo or device in its place is never touched. Errors as for `readRegular()` and `openInRoot()`.
 */
export function readFileIn(root: Fd, path: string, limitBytes: number): Buffer {
  using named = openInRoot(root, path, "path");
  requireRegular(statFd(named).kind, path);
  using opened = reopen(named, "read");
  return readRegular(opened, limitBytes);
}

function requireRegular(kind: string, path: string | undefined): void {
  if (kind !== "regular") throw new SyscallError("read", "EBADF", path, "Not a regular file");
}

/** A copy of one of our standard descriptors, to be sent to somebody. */
export function copyStandard(number: 0 | 1 | 2): Fd {
  const LOWEST = 3;
  return Fd.adopt(check(trySys("fcntl", number, F_DUPFD_CLOEXEC, LOWEST), "dup"));
}
