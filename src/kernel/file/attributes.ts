// What a file carries besides permissions: the flags of chattr(1), extended attributes, and whether it may be written at
// all. See ioctl_iflags(2), xattr(7), access(2).

import { ENODATA, EOPNOTSUPP, EPERM, EROFS } from "../syscall/constants.ts";
import { pin, pinForever, scratchString } from "../syscall/mem.ts";
import { check, isErrno, trySys } from "../syscall/sys.ts";
import { type Fd, ioctl, readLinkAt, statFd } from "./fd.ts";
import type { FileStatus } from "./status.ts";

/** Flags of files that matter for images. */
export const FILE_FLAG = { append: 0x20, immutable: 0x10, noCow: 0x0080_0000 } as const;

const FS_IOC_GETFLAGS = 0x8008_6601;
const FS_IOC_SETFLAGS = 0x4008_6602;
const flags = pinForever(8);

/** The flags of an open file, or null where its file system keeps none. */
export function fileFlags(fd: Fd): number | null {
  try {
    ioctl(fd, FS_IOC_GETFLAGS, flags);
    return flags.view.getUint32(0, true);
  } catch (error) {
    if (isErrno(error, "ENOTTY", "EOPNOTSUPP", "ENOSYS", "EINVAL")) return null;
    throw error;
  }
}

/** Sets and clears flags of an open file. `EOPNOTSUPP` or `ENOTTY` where its file system keeps none. */
export function changeFileFlags(fd: Fd, change: { readonly set?: number; readonly clear?: number }): void {
  ioctl(fd, FS_IOC_GETFLAGS, flags);
  const old = flags.view.getUint32(0, true);
  const wanted = (old & ~(change.clear ?? 0)) | (change.set ?? 0);
  if (wanted === old) return;
  flags.view.setUint32(0, wanted, true);
  ioctl(fd, FS_IOC_SETFLAGS, flags);
}

/**
 * Has an empty file written in place instead of copied on write, as disk images want it. A file system that cannot do
 * that, also because it compresses the file, leaves it as it is.
 */
export function avoidCopyOnWrite(fd: Fd): void {
  try {
    changeFileFlags(fd, { set: FILE_FLAG.noCow });
  } catch (error) {
    if (!isErrno(error, "EOPNOTSUPP", "ENOTTY", "EPERM", "EINVAL", "ENOSYS")) throw error;
  }
}

/** Takes away what keeps a file from being changed, removed or renamed; a file system without flags is fine. */
export function makeMutable(fd: Fd): void {
  const old = fileFlags(fd);
  const clear = FILE_FLAG.immutable | FILE_FLAG.append;
  if (old !== null && (old & clear) !== 0) changeFileFlags(fd, { clear });
}

const W_OK = 2;

/** Why `path` below `directory` cannot be written: `EROFS`, `EPERM` for an immutable file, another errno; null when it can. */
export function writeObstacle(directory: Fd, path: string): "EROFS" | "EPERM" | "other" | null {
  const result = trySys("faccessat", directory.number, scratchString(path), W_OK);
  if (result >= 0) return null;
  return result === EROFS ? "EROFS" : result === EPERM ? "EPERM" : "other";
}

/** Values are at most this long (xattr(7)), and so are all names together. */
const XATTR_MAX = 64 << 10;
const value = pinForever(XATTR_MAX);

/** O_PATH descriptors have no attributes of their own, but the path to them has. */
function procPath(fd: Fd): string {
  return `/proc/self/fd/${fd.number}`;
}

/** Names of attributes are bytes, and here texts of one character for each of them. */
function attributeName(name: string): number {
  return scratchString(name, "latin1");
}

/** An extended attribute of a file (any descriptor, O_PATH included), or null where it has none of that name. */
export function getAttribute(fd: Fd, name: string): Buffer | null {
  return attributeAt(procPath(fd), name);
}

function attributeAt(path: string, name: string): Buffer | null {
  const size = trySys("getxattr", scratchString(path), attributeName(name), value, value.size);
  if (size === ENODATA || size === EOPNOTSUPP) return null;
  return Buffer.from(value.bytes.subarray(0, check(size, "getxattr", name)));
}

/** Sets an extended attribute. `EOPNOTSUPP` where the file system has none, `EPERM` for a kind of file that has none. */
export function setAttribute(fd: Fd, name: string, bytes: Uint8Array): void {
  const given = pin(bytes.length);
  given.bytes.set(bytes);
  const path = scratchString(procPath(fd));
  check(trySys("setxattr", path, attributeName(name), given, bytes.length, 0), "setxattr", name);
}

/** The names of all extended attributes of a file that we may see; none where the file system has none. */
export function attributeNames(fd: Fd): string[] {
  const size = trySys("listxattr", scratchString(procPath(fd)), value, value.size);
  if (size === EOPNOTSUPP) return [];
  const names = value.bytes.toString("latin1", 0, check(size, "listxattr"));
  return names.split("\0").slice(0, -1);
}

/** Removes an extended attribute; one that is not there is fine. */
export function removeAttribute(fd: Fd, name: string): void {
  const result = trySys("removexattr", scratchString(procPath(fd)), attributeName(name));
  if (result !== ENODATA) check(result, "removexattr", name);
}

const MICROSECONDS = 1000n;
const CREATED_ATTRIBUTE = "user.crtime_usec";

/**
 * When a file was made, in µs: what the file system says, or what an earlier copy left in `user.crtime_usec` when that is
 * older; null when neither is known.
 */
export function createdUsec(fd: Fd): bigint | null {
  return createdOf(procPath(fd), statFd(fd).birthNs);
}

/** The same of an entry of a directory, whose status is known. */
export function entryCreatedUsec(directory: Fd, entry: string, { birthNs }: FileStatus): bigint | null {
  return createdOf(`${procPath(directory)}/${entry}`, birthNs);
}

function createdOf(path: string, birthNs: bigint | null): bigint | null {
  const birth = birthNs === null || birthNs === 0n ? null : birthNs / MICROSECONDS;
  const kept = attributeAt(path, CREATED_ATTRIBUTE);
  const noted = kept?.length === 8 ? kept.readBigUInt64LE() : 0n;
  if (noted === 0n || noted === 0xffff_ffff_ffff_ffffn) return birth;
  return birth === null || noted < birth ? noted : birth;
}

/** Leaves a note of when a copy's original was made. */
export function noteCreated(fd: Fd, usec: bigint): void {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(usec);
  setAttribute(fd, CREATED_ATTRIBUTE, bytes);
}

/** The path a descriptor has now in our mount namespace. */
export function pathOf(fd: Fd): string {
  return readLinkAt(null, procPath(fd));
}
