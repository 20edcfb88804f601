// How a descriptor was opened: fcntl(2), F_GETFL.

import { F_GETFL, O_ACCMODE, O_DIRECTORY, O_LARGEFILE, O_NOFOLLOW } from "../syscall/constants.ts";
import { check, trySys } from "../syscall/sys.ts";
import type { Fd } from "./fd.ts";

const HARMLESS = O_ACCMODE | O_NOFOLLOW | O_LARGEFILE | O_DIRECTORY;

/**
 * Whether reads and writes through a descriptor mean what they say: it is not O_PATH, does not append, does not return
 * early. What somebody else opened may be any of that.
 */
export function isPlainlyOpened(fd: Fd): boolean {
  return (check(trySys("fcntl", fd.number, F_GETFL), "fcntl") & ~HARMLESS) === 0;
}
