// Single reads and writes that do not wait, for descriptors of any kind: read(2), write(2).

import { EAGAIN } from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";
import type { Fd } from "./fd.ts";

const transfer = pinForever(64 * 1024);

/** Reads up to `limitBytes` (64 KiB at most) from where `fd` stands: null when nothing is there yet, empty at the end. */
export function readSome(fd: Fd, limitBytes: number = transfer.size): Buffer | null {
  const count = trySys("read", fd.number, transfer, Math.min(limitBytes, transfer.size));
  if (count === EAGAIN) return null;
  return Buffer.from(transfer.bytes.subarray(0, check(count, "read")));
}

/** Writes as much of `bytes` as goes without waiting, 64 KiB at most: the count, or -1 when nothing goes now. */
export function writeSome(fd: Fd, bytes: Uint8Array): number {
  const part = bytes.length > transfer.size ? bytes.subarray(0, transfer.size) : bytes;
  transfer.bytes.set(part);
  const count = trySys("write", fd.number, transfer, part.length);
  return count === EAGAIN ? -1 : check(count, "write");
}
