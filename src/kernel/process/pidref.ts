// A process that cannot be mistaken for a later one with the same number: pid and pidfd together. See pidfd_open(2).

import { type Watch, watch } from "../event/poller.ts";
import { Fd, statFd } from "../file/fd.ts";
import { fileSystemOf } from "../file/file-system.ts";
import { EINTR, ENOSYS } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { check, isErrno, SyscallError, trySys } from "../syscall/sys.ts";
import { isZombie, processParent, processStartTicks, processUid, readProcess } from "./process-file.ts";

export { processCmdline, processComm, processUid } from "./process-file.ts";

const PIDFS_MAGIC = 0x50494446;
const POLLIN = 1;
/** Without pidfds, how often a process is looked for. */
const RECHECK_MS = 500;
const RECHECK_STEP_MS = 5;
/** The longest wait in the kernel between two looks at the clock. */
const WAIT_STEP_MS = 500;

// struct pollfd { 0 int fd; 4 short events; 6 short revents; };  struct timespec { long tv_sec; long tv_nsec; }
const pollfd = pinForever(8);
const timespec = pinForever(16);

/** One process. Owns its pidfd; everything it says about the process is of this one, or fails with `ESRCH`. */
export class PidRef implements Disposable {
  readonly pid: number;
  readonly pidfd: Fd | null;
  /** The kernel's number for this process, never used again; null before Linux 6.9. */
  readonly id: bigint | null;
  readonly #startTicks: bigint;

  private constructor(pid: number, pidfd: Fd | null) {
    this.pid = pid;
    this.pidfd = pidfd;
    this.id = pidfd === null ? null : pidfdId(pidfd);
    this.#startTicks = pidfd === null ? processStartTicks(pid) : 0n;
  }

  /** The process that has the number `pid` now. `ESRCH` when there is none, `EINVAL` when it is no process number. */
  static of(pid: number): PidRef {
    if (!Number.isInteger(pid) || pid <= 0) throw new SyscallError("pidfd_open", "EINVAL", String(pid));
    const result = trySys("pidfd_open", pid, 0);
    if (result === ENOSYS) return PidRef.fromPidOnly(pid);
    return new PidRef(pid, Fd.adopt(check(result, "pidfd_open", String(pid))));
  }

  /** The process a pidfd refers to; takes the pidfd. `ESRCH` when it was reaped, `EREMOTE` when our /proc does not show it. */
  static fromPidFd(fd: Fd): PidRef {
    try {
      return new PidRef(pidOf(fd), fd);
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /** For kernels without pidfds: the process is told from a later one by its time of start. */
  static fromPidOnly(pid: number): PidRef {
    return new PidRef(pid, null);
  }

  /** This process. */
  static self(): PidRef {
    return PidRef.of(process.pid);
  }

  /** A second, independent reference to the same process. */
  duplicate(): PidRef {
    return new PidRef(this.pid, this.pidfd?.duplicate() ?? null);
  }

  /** Whether the process has not exited. */
  isAlive(): boolean {
    if (this.pidfd !== null) return !isReadable(this.pidfd);
    try {
      return processStartTicks(this.pid) === this.#startTicks && !isZombie(this.pid);
    } catch (error) {
      if (isErrno(error, "ESRCH")) return false;
      throw error;
    }
  }

  /** Blocks until the process has exited, its files closed; false when it has not after so many milliseconds. */
  waitExit(limitMs: number): boolean {
    const until = performance.now() + limitMs;
    while (this.isAlive()) {
      if (performance.now() >= until) return false;
      if (this.pidfd === null) Bun.sleepSync(RECHECK_STEP_MS);
      else isReadable(this.pidfd, WAIT_STEP_MS);
    }
    return true;
  }

  /** Sends a signal; 0 only checks. `ESRCH` when the process is gone, `EPERM` when it is not ours to signal. */
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

  /** Whether both refer to the same process. */
  equals(other: PidRef): boolean {
    if (this.pid !== other.pid) return false;
    if (this.id !== null && other.id !== null) return this.id === other.id;
    return this.pidfd !== null || other.pidfd !== null || this.#startTicks === other.#startTicks;
  }

  /** The real user id. */
  uid(): number {
    return this.verified(() => processUid(this.pid));
  }

  /** The parent's process id, 0 when it is outside our pid namespace. */
  parentPid(): number {
    return this.verified(() => processParent(this.pid));
  }

  /**
   * Runs `read`, which asks something by process number, and returns its result; `ESRCH` when the process was gone by then,
   * and the answer might be about another one.
   */
  verified<T>(read: () => T): T {
    const answer = read();
    this.requireAlive();
    return answer;
  }

  requireAlive(): void {
    if (!this.isAlive()) throw new SyscallError("process", "ESRCH", String(this.pid));
  }

  /** Calls `callback` once when the process exits, in the next turn when it has already. */
  onExit(callback: () => void): Watch {
    if (this.pidfd === null) return this.#onExitByTimer(callback);
    // A descriptor of its own: each can be watched once, and this one may outlive the reference.
    const own = this.pidfd.duplicate();
    watch(own, { read: true }, () => {
      own.close();
      callback();
    });
    const stop = () => own.close();
    return { stop, [Symbol.dispose]: stop };
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

/** The inode number of a pidfd is the process's only where pidfds have a file system of their own. */
function pidfdId(pidfd: Fd): bigint | null {
  return fileSystemOf(pidfd).type === PIDFS_MAGIC ? statFd(pidfd).ino : null;
}

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
  pollfd.view.setInt32(0, fd.number, true);
  pollfd.view.setInt16(4, POLLIN, true);
  timespec.view.setBigInt64(0, BigInt(Math.floor(waitMs / 1000)), true);
  timespec.view.setBigInt64(8, BigInt(waitMs % 1000) * 1_000_000n, true);
  const count = trySys("ppoll", pollfd, 1, timespec, 0, 8);
  // A signal that comes meanwhile is no answer.
  return count !== EINTR && check(count, "ppoll") > 0;
}
