// Blocking waits on a socket between two short-lived processes that have nothing else to do. See ppoll(2), shutdown(2).
import type { Fd } from "../file/fd.ts";
import { EINTR } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";

const POLLIN = 1;
// struct pollfd { 0 int fd; 4 short events; 6 short revents; }
const pollfd = pinForever(8);

/** Blocks until there is something to read, or the other side has closed. */
export function waitReadable(fd: Fd): void {
  pollfd.view.setInt32(0, fd.number, true);
  pollfd.view.setInt16(4, POLLIN, true);
  let result = EINTR;
  while (result === EINTR) result = trySys("ppoll", pollfd, 1, 0, 0, 8);
  check(result, "poll");
}

const SHUT_WR = 1;

/** Shuts down sending: the other side reads end of file, and can still send. No error where it has closed. */
export function endWriting(socket: Fd): void {
  trySys("shutdown", socket.number, SHUT_WR);
}
