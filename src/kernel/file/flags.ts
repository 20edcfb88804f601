// The flags with which a descriptor was opened: fcntl(2), F_GETFL.
import {
  F_GETFL,
  O_ACCMODE,
  O_APPEND,
  O_DIRECTORY,
  O_LARGEFILE,
  O_NOFOLLOW,
  O_NONBLOCK,
} from "../syscall/constants.ts";
import { check, trySys } from "../syscall/sys.ts";
import type { Fd } from "./fd.ts";

const HARMLESS = O_ACCMODE | O_NOFOLLOW | O_LARGEFILE | O_DIRECTORY;

/**
 * Returns whether a descriptor has no flag that changes reads and writes: neither O_PATH nor O_APPEND, O_NONBLOCK or
 * others. For descriptors that another process opened and passed. With `"or-appends-or-does-not-wait"`, it may have
 * O_APPEND and O_NONBLOCK.
 */
export function isPlainlyOpened(fd: Fd, strictness: "strictly" | "or-appends-or-does-not-wait" = "strictly"): boolean {
  const permitted = strictness === "strictly" ? HARMLESS : HARMLESS | O_APPEND | O_NONBLOCK;
  return (flagsOf(fd) & ~permitted) === 0;
}

/** Returns whether every write to a descriptor goes to the end of the file: O_APPEND. */
export function appends(fd: Fd): boolean {
  return (flagsOf(fd) & O_APPEND) !== 0;
}

function flagsOf(fd: Fd): number {
  return check(trySys("fcntl", fd.number, F_GETFL), "fcntl");
}
