// Single read(2) and write(2) calls on non-blocking descriptors of any kind; whole writes to files.
import { EAGAIN, EINTR, F_DUPFD_CLOEXEC } from "../syscall/constants.ts";
import { type Pinned, pinForever } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";
import type { Fd } from "./fd.ts";

const transfer = pinForever(64 * 1024);

/**
 * Reads up to `limitBytes`, at most 64 KiB. Returns null where nothing is available yet, an empty buffer at the end of
 * file.
 */
export function readSome(fd: Fd, limitBytes: number = transfer.size): Buffer | null {
  const count = trySys("read", fd.number, transfer, Math.min(limitBytes, transfer.size));
  if (count === EAGAIN) return null;
  return Buffer.from(transfer.bytes.subarray(0, check(count, "read")));
}

/**
 * Writes as much of `bytes` as is possible without blocking, at most 64 KiB. Returns the count; -1 where nothing can be
 * written now.
 */
export function writeSome(fd: Fd, bytes: Uint8Array): number {
  const part = bytes.length > transfer.size ? bytes.subarray(0, transfer.size) : bytes;
  transfer.bytes.set(part);
  const count = trySys("write", fd.number, transfer, part.length);
  return count === EAGAIN ? -1 : check(count, "write");
}

/** Writes the first `count` bytes of `memory` to a file at an offset, with as many calls as that takes. */
export function writeWhole(file: Fd, memory: Pinned, count: number, at: number): void {
  for (let done = 0; done < count; ) {
    done += check(trySys("pwrite64", file.number, memory.address + done, count - done, at + done), "write");
  }
}

/**
 * Throws the error of earlier writes to a file that its file system reports only when the file is closed: a server
 * (NFS, FUSE) that has no room for them, for example. Closes a duplicate for that, because `Fd` ignores what close(2)
 * reports.
 */
export function requireWritten(file: Fd): void {
  const duplicate = check(trySys("fcntl", file.number, F_DUPFD_CLOEXEC, 0), "dup");
  const result = trySys("close", duplicate);
  if (result !== EINTR) check(result, "write");
}
