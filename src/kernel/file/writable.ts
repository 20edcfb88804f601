// Whether a descriptor takes bytes now: ppoll(2).
import { POLLOUT, pollOne } from "../syscall/poll.ts";

/**
 * Returns whether `fd` takes bytes without waiting, or fails at once; waits for that for `waitMs` at most. A pipe takes
 * 4096 bytes then, a socket more.
 */
export function isWritable(fd: number, waitMs: number): boolean {
  return pollOne(fd, POLLOUT, waitMs) > 0;
}
