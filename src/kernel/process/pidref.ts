// A reference to a process by PID and pidfd, which cannot be confused with a later process of the same PID. See
// pidfd_open(2).
import { type Watch, watch } from "../event/poller.ts";
import { Fd, statFd } from "../file/fd.ts";
import { fileSystemOf } from "../file/file-system.ts";
import { EINTR, ENOSYS } from "../syscall/constants.ts";
import { POLLIN, pollOne } from "../syscall/poll.ts";
import { check, isErrno, SyscallError, trySys } from "../syscall/sys.ts";
import { isZombie, processParent, processStartTicks, processUid, readProcess } from "./process-file.ts";

export { processCmdline, processComm, processUid } from "./process-file.ts";

const PIDFS_MAGIC = 0x50494446;
/** The intervals at which a process is polled on kernels without pidfds: by onExit(), and by waitExit(). */
const RECHECK_MS = 500;
const RECHECK_STEP_MS = 5;
/** The longest single wait in the kernel, after which the time limit is checked. */
const WAIT_STEP_MS = 500;

/** A pidfd of `PidRef.common()`, which the last of its users closes. */
class Common {
  readonly pid: number;
  readonly id: bigint;
  readonly #pidfd: Fd;
  #users = 0;
  /** One for all users: there may be thousands. */
  readonly #leave = (closed: number): void => {
    // A duplicate of the descriptor is closed by itself. It may have the number once that is free.
    if (this.#users === 0 || closed !== this.#pidfd.number) Fd.adopt(closed).close();
    else if (--this.#users === 0) {
      COMMON.delete(this.id);
      this.#pidfd.close();
    }
  };

  constructor(pid: number, id: bigint, pidfd: Fd) {
    this.pid = pid;
    this.id = id;
    this.#pidfd = pidfd;
  }

  /** Returns the descriptor for a further user, who closes it. */
  use(): Fd {
    this.#users++;
    return Fd.adopt(this.#pidfd.number, this.#leave);
  }
}

/** The common pidfds by their inode numbers. */
const COMMON = new Map<bigint, Common>();

/** One process. Owns its pidfd. All methods concern this process alone, or throw `ESRCH` where it has ended. */
export class PidRef implements Disposable {
  readonly pid: number;
  readonly pidfd: Fd | null;
  /** The inode number of the pidfd, which is not reused during a boot; null before Linux 6.9. */
  readonly id: bigint | null;
  readonly #startTicks: bigint;
  /** Whether the pidfd itself is, or was, watched. */
  #isWatched = false;

  private constructor(pid: number, pidfd: Fd | null, id = pidfd === null ? null : pidfdId(pidfd)) {
    this.pid = pid;
    this.pidfd = pidfd;
    this.id = id;
    this.#startTicks = pidfd === null ? processStartTicks(pid) : 0n;
  }

  /**
   * Returns a reference to the process that has `pid` now. Throws `ESRCH` where there is none, `EINVAL` for an invalid
   * PID.
   */
  static of(pid: number): PidRef {
    if (!Number.isInteger(pid) || pid <= 0) throw new SyscallError("pidfd_open", "EINVAL", String(pid));
    const result = trySys("pidfd_open", pid, 0);
    if (result === ENOSYS) return PidRef.fromPidOnly(pid);
    return new PidRef(pid, Fd.adopt(check(result, "pidfd_open", String(pid))));
  }

  /**
   * Returns a reference that owns the pidfd. Throws `ESRCH` where the process was reaped, `EREMOTE` where it is outside
   * of our pid namespace.
   */
  static fromPidFd(fd: Fd): PidRef {
    try {
      return new PidRef(pidOf(fd), fd);
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /** Returns a reference without pidfd, for old kernels: the start time distinguishes the process from a later one. */
  static fromPidOnly(pid: number): PidRef {
    return new PidRef(pid, null);
  }

  /** Returns a reference to this process. */
  static self(): PidRef {
    return PidRef.of(process.pid);
  }

  /** Returns a second, independent reference to the same process. */
  duplicate(): PidRef {
    return new PidRef(this.pid, this.pidfd?.duplicate() ?? null);
  }

  /**
   * Returns a reference to the same process, instead of this one, which is disposed of. All references that this
   * method returns for one process use one descriptor, which the last of them closes. Before Linux 6.9, it returns this
   * reference.
   */
  common(): PidRef {
    const { pid, pidfd, id } = this;
    if (pidfd === null || id === null) return this;
    const held = COMMON.get(id) ?? new Common(pid, id, Fd.adopt(pidfd.take()));
    COMMON.set(id, held);
    const reference = PidRef.#using(held);
    // Not before: this may be the only reference of its kind.
    pidfd.close();
    return reference;
  }

  /** Returns a further reference of `common()` to the process of that number and `id`; null where there is none. */
  static ofCommon(pid: number, id: bigint): PidRef | null {
    const held = COMMON.get(id);
    return held?.pid === pid ? PidRef.#using(held) : null;
  }

  static #using(held: Common): PidRef {
    const reference = new PidRef(held.pid, held.use(), held.id);
    // Others use the descriptor: its watches have one of their own.
    reference.#isWatched = true;
    return reference;
  }

  /**
   * Returns whether the process has not exited yet. False after this reference was disposed of: work that waited for
   * something else may still have it, and its number may be another process's by then.
   */
  isAlive(): boolean {
    if (this.pidfd !== null) return this.pidfd.isOpen && !isReadable(this.pidfd);
    try {
      return processStartTicks(this.pid) === this.#startTicks && !isZombie(this.pid);
    } catch (error) {
      if (isErrno(error, "ESRCH")) return false;
      throw error;
    }
  }

  /** Blocks until the process has exited and its files are closed; returns false where it has not after `limitMs`. */
  waitExit(limitMs: number): boolean {
    const until = performance.now() + limitMs;
    while (this.isAlive()) {
      if (performance.now() >= until) return false;
      if (this.pidfd === null) Bun.sleepSync(RECHECK_STEP_MS);
      else isReadable(this.pidfd, WAIT_STEP_MS);
    }
    return true;
  }

  /** Sends a signal; 0 only checks. Throws `ESRCH` where the process has ended, `EPERM` where we may not signal it. */
  kill(signal: number): void {
    if (this.pidfd !== null) {
      const result = trySys("pidfd_send_signal", this.pidfd.number, signal, 0, 0);
      if (result !== ENOSYS) {
        check(result, "kill", String(this.pid));
        return;
      }
    }
    this.requireAlive();
    check(trySys("kill", this.pid, signal), "kill", String(this.pid));
  }

  /** Returns whether both refer to the same process. */
  equals(other: PidRef): boolean {
    if (this.pid !== other.pid) return false;
    if (this.id !== null && other.id !== null) return this.id === other.id;
    return this.pidfd !== null || other.pidfd !== null || this.#startTicks === other.#startTicks;
  }

  /** Returns the real user id. */
  uid(): number {
    return this.verified(() => processUid(this.pid));
  }

  /** Returns the parent's process id, 0 where it is outside of our pid namespace. */
  parentPid(): number {
    return this.verified(() => processParent(this.pid));
  }

  /**
   * Runs `read`, which reads or opens something by PID, and returns its result. Throws `ESRCH` where the process has
   * ended by then, because the result might be about a later process of the same PID: what was opened is closed.
   */
  verified<T>(read: () => T): T {
    const result = read();
    try {
      this.requireAlive();
      return result;
    } catch (error) {
      if (isDisposable(result)) result[Symbol.dispose]();
      throw error;
    }
  }

  /** Throws `ESRCH` where the process has ended. */
  requireAlive(): void {
    if (!this.isAlive()) throw new SyscallError("process", "ESRCH", String(this.pid));
  }

  /**
   * Calls `callback` once when the process exits; in the next turn of the event loop where it has already. The watch
   * ends with this reference.
   */
  onExit(callback: () => void): Watch {
    if (this.pidfd === null) return this.#onExitByTimer(callback);
    // A descriptor can be watched only once: further watches have one of their own. Most references have one watch, and
    // there is one reference for each machine.
    const own = this.#isWatched ? this.pidfd.duplicate() : null;
    try {
      const made = new ExitWatch(this.pidfd, own, callback);
      this.#isWatched = true;
      return made;
    } catch (error) {
      own?.close();
      // The limit of epoll, or no memory.
      if (!isErrno(error, "ENOSPC", "ENOMEM")) throw error;
      return this.#onExitByTimer(callback);
    }
  }

  #onExitByTimer(callback: () => void): Watch {
    const timer = setInterval(() => {
      if (this.isAlive()) return;
      stop();
      callback();
    }, RECHECK_MS);
    const stop = () => clearInterval(timer);
    return { stop, [Symbol.dispose]: stop };
  }

  [Symbol.dispose](): void {
    this.pidfd?.close();
  }
}

/** Calls `callback` when the process of a pidfd exits. It watches and owns the descriptor `own`, if there is one. */
class ExitWatch implements Watch {
  readonly #watch: Watch;
  readonly #own: Fd | null;

  constructor(pidfd: Fd, own: Fd | null, callback: () => void) {
    this.#own = own;
    this.#watch = watch(own ?? pidfd, { read: true }, () => {
      this.stop();
      callback();
    });
  }

  stop(): void {
    this.#watch.stop();
    this.#own?.close();
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}

function isDisposable(value: unknown): value is Disposable {
  return typeof value === "object" && value !== null && Symbol.dispose in value;
}

/** Returns the inode number of a pidfd; null on kernels without pidfs, where it does not identify the process. */
function pidfdId(pidfd: Fd): bigint | null {
  hasPidfs ??= fileSystemOf(pidfd).type === PIDFS_MAGIC;
  return hasPidfs ? statFd(pidfd).ino : null;
}

/** Whether pidfds are files of pidfs, which is a property of the kernel; null until the first one was looked at. */
let hasPidfs: boolean | null = null;

/** Returns the PID that a pidfd refers to, from its fdinfo (proc_pid_fdinfo(5)). */
function pidOf(pidfd: Fd): number {
  const text = readProcess(process.pid, `fdinfo/${pidfd.number}`).toString();
  const match = /^Pid:\t(-?\d+)$/m.exec(text);
  if (match === null) throw new SyscallError("pidfd", "EBADF", undefined, "Not a pidfd");
  const pid = Number(match[1]);
  if (pid === 0) throw new SyscallError("pidfd", "EREMOTE");
  if (pid < 0) throw new SyscallError("pidfd", "ESRCH");
  return pid;
}

function isReadable(fd: Fd, waitMs = 0): boolean {
  const count = pollOne(fd.number, POLLIN, waitMs);
  // After a signal, the caller checks again.
  return count !== EINTR && check(count, "ppoll") > 0;
}
