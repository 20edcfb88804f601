// Whether a descriptor takes bytes now: ppoll(2).
import { EINTR } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { trySys } from "../syscall/sys.ts";

const POLLOUT = 4;
// struct pollfd { 0 int fd; 4 short events; 6 short revents; }
const pollfd = pinForever(8);
// struct timespec { long tv_sec; long tv_nsec; }
const timeout = pinForever(16);

/**
 * Returns whether `fd` takes bytes without waiting, or fails at once; waits for that for less than a second. A pipe
 * takes 4096 bytes then, a socket more.
 */
export function isWritable(fd: number, waitMs: number): boolean {
  pollfd.view.setInt32(0, fd, true);
  pollfd.view.setInt16(4, POLLOUT, true);
  timeout.view.setBigInt64(8, BigInt(Math.floor(waitMs * 1e6)), true);
  const count = trySys("ppoll", pollfd, 1, timeout, 0, 8);
  return count !== EINTR && count > 0;
}
