// A socket between two short-lived processes that have nothing else to do: waiting in the kernel until the other has said
// something, and saying that there is no more. See ppoll(2), shutdown(2).
import type { Fd } from "../file/fd.ts";
import { EINTR } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";

const POLLIN = 1;
// struct pollfd { 0 int fd; 4 short events; 6 short revents; }
const pollfd = pinForever(8);

/** Returns when there is something to read, or the other side is gone. */
export function waitReadable(fd: Fd): void {
  pollfd.view.setInt32(0, fd.number, true);
  pollfd.view.setInt16(4, POLLIN, true);
  let result = EINTR;
  while (result === EINTR) result = trySys("ppoll", pollfd, 1, 0, 0, 8);
  check(result, "poll");
}

const SHUT_WR = 1;

/** Tells the other side that nothing more comes; what it says is still heard. Harmless when it is gone. */
export function endWriting(socket: Fd): void {
  trySys("shutdown", socket.number, SHUT_WR);
}
