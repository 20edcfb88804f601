// Waits for one descriptor: ppoll(2). src/kernel/event watches many of them without blocking.
import { pinForever } from "./mem.ts";
import { trySys } from "./sys.ts";

export const POLLIN = 1;
export const POLLOUT = 4;

// struct pollfd { 0 int fd; 4 short events; 6 short revents; }
const pollfd = pinForever(8);
// struct timespec { long tv_sec; long tv_nsec; }
const timespec = pinForever(16);

/**
 * Blocks until `fd` is ready for one of `events`, or has an error or hang-up; for `waitMs` at most, or without a limit.
 * Returns 1, 0 after the time, or a negative errno: EINTR after a signal.
 */
export function pollOne(fd: number, events: number, waitMs?: number): number {
  pollfd.view.setInt32(0, fd, true);
  pollfd.view.setInt16(4, events, true);
  if (waitMs === undefined) return trySys("ppoll", pollfd, 1, 0, 0, 8);
  timespec.view.setBigInt64(0, BigInt(Math.floor(waitMs / 1000)), true);
  timespec.view.setBigInt64(8, BigInt(Math.floor((waitMs % 1000) * 1e6)), true);
  return trySys("ppoll", pollfd, 1, timespec, 0, 8);
}
