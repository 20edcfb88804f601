// How a descriptor was opened: fcntl(2), F_GETFL.

import { check, trySys } from "../syscall/sys.ts";
import type { Fd } from "./fd.ts";

const F_GETFL = 3;
const O_ACCMODE = 3;
const arm = process.arch === "arm64";
const O_DIRECTORY = arm ? 0x4000 : 0x10000;
const O_NOFOLLOW = arm ? 0x8000 : 0x20000;
const O_LARGEFILE = arm ? 0x20000 : 0x8000;
const HARMLESS = O_ACCMODE | O_NOFOLLOW | O_LARGEFILE | O_DIRECTORY;

/**
 * Whether reads and writes through a descriptor mean what they say: it is not O_PATH, does not append, does not return
 * early. What somebody else opened may be any of that.
 */
export function isPlainlyOpened(fd: Fd): boolean {
  return (check(trySys("fcntl", fd.number, F_GETFL), "fcntl") & ~HARMLESS) === 0;
}
