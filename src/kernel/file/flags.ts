// The flags with which a descriptor was opened: fcntl(2), F_GETFL.
import { F_GETFL, O_ACCMODE, O_DIRECTORY, O_LARGEFILE, O_NOFOLLOW } from "../syscall/constants.ts";
import { check, trySys } from "../syscall/sys.ts";
import type { Fd } from "./fd.ts";

const HARMLESS = O_ACCMODE | O_NOFOLLOW | O_LARGEFILE | O_DIRECTORY;

/**
 * Returns whether a descriptor has no flag that changes reads and writes: neither O_PATH nor O_APPEND, O_NONBLOCK or
 * others. For descriptors that another process opened and passed.
 */
export function isPlainlyOpened(fd: Fd): boolean {
  return (check(trySys("fcntl", fd.number, F_GETFL), "fcntl") & ~HARMLESS) === 0;
}
