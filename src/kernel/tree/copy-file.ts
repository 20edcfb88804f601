// Copies one file: its data, by reflink where the file system supports it, otherwise with its holes kept; and owner,
// permissions, times and extended attributes. See ioctl_ficlonerange(2), copy_file_range(2), lseek(2), xattr(7).

import { requireWritten, writeWhole } from "../file/byte-io.ts";
import type { Fd } from "../file/fd.ts";
import {
  AT_SYMLINK_NOFOLLOW,
  EBADF,
  EINVAL,
  ENOSYS,
  ENOTTY,
  ENXIO,
  EOPNOTSUPP,
  EPERM,
  ETXTBSY,
  EXDEV,
  SEEK_DATA,
  SEEK_HOLE,
} from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";
import { copyAttributes } from "./copy-attributes.ts";
import { createFile, type NamedPlace } from "./link.ts";
import { reopenForReading } from "./own-file.ts";
import type { RawStatus } from "./raw-status.ts";
import { type RawName, rawAddress } from "./tree.ts";

/** Whether files can share data between the two file systems; shared by all files of a copy, which clears it. */
interface Sharing {
  mayShare: boolean;
}

/** Options that all files of a copy share. */
export interface CopyManner {
  readonly sharing: Sharing;
  onBytes(count: number): void;
}

/**
 * Copies the regular file `entry` (O_PATH), whose status is `status`, to a new name, with owner, permissions, times and
 * attributes. Returns the names of extended attributes that could not be set. Throws `EEXIST` where the name is taken.
 */
export function copyRegular(entry: Fd, status: RawStatus, to: NamedPlace, manner: CopyManner): string[] {
  using target = createFile(to, 0o600);
  return fillRegular(entry, status, target, manner);
}

/** As `copyRegular()`, into an existing empty file. */
export function fillRegular(entry: Fd, status: RawStatus, target: Fd, { sharing, onBytes }: CopyManner): string[] {
  using source = reopenForReading(entry);
  if (status.size > 0 && !share(source, target, sharing)) copyData(source, target, status, onBytes);
  copyOwnership(target, status);
  const lost = copyAttributes(source, target, true);
  setTimesOf(target, status);
  return lost;
}

function share(source: Fd, target: Fd, sharing: Sharing): boolean {
  if (!sharing.mayShare) return false;
  const result = shareData(source, target);
  if (result === "never") sharing.mayShare = false;
  return result === "shared";
}

/** Sets owner and then permissions of an open file, because a change of owner clears setuid and setgid. */
export function copyOwnership(target: Fd, { uid, gid, mode }: RawStatus): void {
  check(trySys("fchown", target.number, uid, gid), "chown");
  check(trySys("fchmod", target.number, mode & 0o7777), "chmod");
}

const FICLONE = 0x4004_9409;

/**
 * Makes the empty `target` share all data of `source` (reflink). Returns whether that worked; if not, whether it can
 * for other files.
 */
export function shareData(source: Fd, target: Fd): "shared" | "not-this-file" | "never" {
  const result = trySys("ioctl", target.number, FICLONE, source.number);
  if (result >= 0) return "shared";
  if (NEVER_SHARES.has(result)) return "never";
  if (!CANNOT_SHARE.has(result)) check(result, "reflink");
  return "not-this-file";
}

// struct file_clone_range { 0 __s64 src_fd; 8 __u64 src_offset; 16 __u64 src_length; 24 __u64 dest_offset; }
const FICLONERANGE = 0x4020_940d;
const cloneRange = pinForever(32);

/**
 * Makes the empty `target` share the data of `source` in steps of `stepBytes`, which must be a multiple of the block
 * size. Each `next()` makes one step and yields the offset reached. Returns as `shareData()`; throws where a step after
 * the first fails.
 */
export function* shareSteps(
  source: Fd,
  target: Fd,
  size: number,
  stepBytes: number,
): Generator<number, ReturnType<typeof shareData>> {
  if (size <= stepBytes) return shareData(source, target);
  for (let at = 0; at < size; at += stepBytes) {
    cloneRange.view.setBigInt64(0, BigInt(source.number), true);
    cloneRange.view.setBigInt64(8, BigInt(at), true);
    // Length 0 is to the end of the file, where the range need not be a multiple of the block size.
    cloneRange.view.setBigInt64(16, BigInt(at + stepBytes < size ? stepBytes : 0), true);
    cloneRange.view.setBigInt64(24, BigInt(at), true);
    const result = trySys("ioctl", target.number, FICLONERANGE, cloneRange);
    if (at === 0 && NEVER_SHARES.has(result)) return "never";
    if (at === 0 && CANNOT_SHARE.has(result)) return "not-this-file";
    check(result, "reflink");
    yield Math.min(at + stepBytes, size);
  }
  return "shared";
}

/** The file systems do not support sharing. */
const NEVER_SHARES: ReadonlySet<number> = new Set([EXDEV, ENOTTY, ENOSYS, EOPNOTSUPP]);
/** These two files cannot share data: swap files, one of them without copy-on-write, and so on. */
const CANNOT_SHARE: ReadonlySet<number> = new Set([EPERM, EBADF, EINVAL, ETXTBSY]);
/** Errors of copy_file_range(2) after which the data is copied by read and write instead. */
const CANNOT_COPY_IN_KERNEL: ReadonlySet<number> = new Set([ENOSYS, EOPNOTSUPP, EXDEV, EINVAL, EBADF, EPERM, ETXTBSY]);

/** The size of a step, after which `onBytes` is called. */
const STEP_BYTES = 64 << 20;
const offsets = pinForever(16);
const BUFFER_BYTES = 1 << 20;
const buffer = pinForever(BUFFER_BYTES);

/**
 * Copies the data of `source` into the empty `target`, and keeps holes. Calls `onBytes` after every step with its size.
 * Returns the size of the copy, which is smaller than `size` where the source was truncated meanwhile, and for files of
 * /sys, whose content is shorter than their size.
 */
export function copyData(
  source: Fd,
  target: Fd,
  { size, allocatedBytes }: { readonly size: number; readonly allocatedBytes: number },
  onBytes: (count: number) => void,
): number {
  const steps = dataSteps(source, target, { size, allocatedBytes }, STEP_BYTES);
  for (;;) {
    const step = steps.next();
    if (step.done === true) {
      requireWritten(target);
      return step.value;
    }
    onBytes(step.value.copied);
  }
}

/** A step of a copy: the number of copied bytes, and the offset reached, holes included. */
interface CopyStep {
  readonly copied: number;
  readonly reached: number;
}

/** As `copyData()`, in steps of at most `stepBytes`; each `next()` makes one. Returns the size of the copy. */
export function* dataSteps(
  source: Fd,
  target: Fd,
  { size, allocatedBytes }: { readonly size: number; readonly allocatedBytes: number },
  stepBytes: number,
): Generator<CopyStep, number> {
  if (allocatedBytes >= size) return yield* rangeSteps(source, target, [0, size], stepBytes);
  for (let at = 0; at < size; ) {
    const from = seek(source, at, SEEK_DATA, size);
    if (from === null) break;
    const to = Math.min(seek(source, from, SEEK_HOLE, size) ?? size, size);
    at = yield* rangeSteps(source, target, [from, to], stepBytes);
    // Without this, the end of a file of /sys would be zeros.
    if (at < to) return at;
  }
  check(trySys("ftruncate", target.number, size), "ftruncate");
  return size;
}

/**
 * Returns the offset of the next data or hole; null where there is none. Without support by the file system, all is
 * data.
 */
function seek(file: Fd, at: number, whence: number, size: number): number | null {
  const result = trySys("lseek", file.number, at, whence);
  if (result === ENXIO) return null;
  if (result === EINVAL) return whence === SEEK_DATA ? at : size;
  return check(result, "lseek");
}

/** Copies a range; returns the offset reached, which is before its end where the source ends there. */
function* rangeSteps(
  source: Fd,
  target: Fd,
  [from, to]: readonly [number, number],
  stepBytes: number,
): Generator<CopyStep, number> {
  let at = from;
  while (at < to) {
    const count = copyStep(source, target, at, Math.min(to - at, stepBytes));
    if (count === 0) break;
    at += count;
    yield { copied: count, reached: at };
  }
  return at;
}

function copyStep(source: Fd, target: Fd, at: number, length: number): number {
  offsets.view.setBigInt64(0, BigInt(at), true);
  offsets.view.setBigInt64(8, BigInt(at), true);
  const base = offsets.address;
  const copied = trySys("copy_file_range", source.number, base, target.number, base + 8, length, 0);
  if (copied >= 0 || !CANNOT_COPY_IN_KERNEL.has(copied)) return check(copied, "copy");
  const count = check(trySys("pread64", source.number, buffer, Math.min(length, BUFFER_BYTES), at), "read");
  writeWhole(target, buffer, count, at);
  return count;
}

// struct timespec[2] { { 0 sec; 8 nsec; } atime; { 16 sec; 24 nsec; } mtime; }
const times = pinForever(32);

function putTimes({ memory }: RawStatus): void {
  times.bytes.fill(0);
  memory.bytes.copy(times.bytes, 0, 64, 76);
  memory.bytes.copy(times.bytes, 16, 112, 124);
}

/** Sets the access and modification time of an entry to those of `status`. */
export function setTimes(directory: Fd, name: RawName, status: RawStatus): void {
  putTimes(status);
  check(trySys("utimensat", directory.number, rawAddress(name), times, AT_SYMLINK_NOFOLLOW), "utimensat");
}

/** Sets the access and modification time of an open file to those of `status`. */
export function setTimesOf(file: Fd, status: RawStatus): void {
  putTimes(status);
  check(trySys("utimensat", file.number, 0, times, 0), "utimensat");
}
