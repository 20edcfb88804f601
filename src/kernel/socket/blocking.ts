// Blocking waits on a socket between two short-lived processes that have nothing else to do. See ppoll(2), shutdown(2).
import type { Fd } from "../file/fd.ts";
import { EINTR } from "../syscall/constants.ts";
import { POLLIN, pollOne } from "../syscall/poll.ts";
import { check, trySys } from "../syscall/sys.ts";

/** Blocks until there is something to read, or the other side has closed. */
export function waitReadable(fd: Fd): void {
  let result = EINTR;
  while (result === EINTR) result = pollOne(fd.number, POLLIN);
  check(result, "poll");
}

const SHUT_WR = 1;

/** Shuts down sending: the other side reads end of file, and can still send. No error where it has closed. */
export function endWriting(socket: Fd): void {
  trySys("shutdown", socket.number, SHUT_WR);
}
