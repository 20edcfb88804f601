// Attributes of files: the flags of chattr(1), extended attributes, and whether a file can be written. See
// ioctl_iflags(2), xattr(7), access(2).
import {
  E2BIG,
  EACCES,
  EBADF,
  EINVAL,
  ENAMETOOLONG,
  ENODATA,
  ENOSPC,
  EOPNOTSUPP,
  EPERM,
  ERANGE,
  EROFS,
} from "../syscall/constants.ts";
import { pin, pinForever, scratchString } from "../syscall/mem.ts";
import { check, isErrno, trySys } from "../syscall/sys.ts";
import { type Fd, ioctl, readLinkAt, statFd } from "./fd.ts";
import { fileSystemOf } from "./file-system.ts";
import { type FileStatus, usecOfTime } from "./status.ts";

/** The file flags that matter for images. */
export const FILE_FLAG = { append: 0x20, immutable: 0x10, noCow: 0x0080_0000 } as const;

const FS_IOC_GETFLAGS = 0x8008_6601;
const FS_IOC_SETFLAGS = 0x4008_6602;
const flags = pinForever(8);

/** Returns the flags of an open file; null where its file system has none. */
export function fileFlags(fd: Fd): number | null {
  try {
    ioctl(fd, FS_IOC_GETFLAGS, flags);
    return flags.view.getUint32(0, true);
  } catch (error) {
    if (isErrno(error, "ENOTTY", "EOPNOTSUPP", "ENOSYS", "EINVAL")) return null;
    throw error;
  }
}

/** Sets and clears flags of an open file. Throws `EOPNOTSUPP` or `ENOTTY` where its file system has none. */
export function changeFileFlags(fd: Fd, change: { readonly set?: number; readonly clear?: number }): void {
  ioctl(fd, FS_IOC_GETFLAGS, flags);
  const old = flags.view.getUint32(0, true);
  const wanted = (old & ~(change.clear ?? 0)) | (change.set ?? 0);
  if (wanted === old) return;
  flags.view.setUint32(0, wanted, true);
  ioctl(fd, FS_IOC_SETFLAGS, flags);
}

/**
 * Disables copy-on-write for an empty file, for disk images. Has no effect where the file system cannot do that, for
 * example because it compresses the file.
 */
export function avoidCopyOnWrite(fd: Fd): void {
  try {
    changeFileFlags(fd, { set: FILE_FLAG.noCow });
  } catch (error) {
    if (!isErrno(error, "EOPNOTSUPP", "ENOTTY", "EPERM", "EINVAL", "ENOSYS")) throw error;
  }
}

/**
 * Clears the flags that prevent a file from being changed, removed or renamed; no error on a file system without flags.
 */
export function makeMutable(fd: Fd): void {
  const old = fileFlags(fd);
  const clear = FILE_FLAG.immutable | FILE_FLAG.append;
  if (old !== null && (old & clear) !== 0) changeFileFlags(fd, { clear });
}

const W_OK = 2;

/**
 * Returns why `path` below `directory` cannot be written: `EROFS`, `EPERM` for an immutable file, `other`; null where
 * it can.
 */
export function writeObstacle(directory: Fd, path: string): "EROFS" | "EPERM" | "other" | null {
  const result = trySys("faccessat", directory.number, scratchString(path), W_OK);
  if (result >= 0) return null;
  return result === EROFS ? "EROFS" : result === EPERM ? "EPERM" : "other";
}

/** The maximum size of a value, and of all names together (xattr(7)). */
const XATTR_MAX = 64 << 10;
const value = pinForever(XATTR_MAX);

/** The path of a descriptor. The calls that take a descriptor refuse O_PATH, those that take this path do not. */
function procPath(fd: Fd): string {
  return `/proc/self/fd/${fd.number}`;
}

/** Attribute names are bytes; here they are strings with one character for each byte. */
function attributeName(name: string): number {
  return scratchString(name, "latin1");
}

/** Returns an extended attribute of a file (any descriptor, O_PATH included); null where it has none of that name. */
export function getAttribute(fd: Fd, name: string): Buffer | null {
  return attributeAt(procPath(fd), name);
}

function attributeAt(path: string, name: string): Buffer | null {
  const size = trySys("getxattr", scratchString(path), attributeName(name), value, value.size);
  if (size === ENODATA || size === EOPNOTSUPP) return null;
  return Buffer.from(value.bytes.subarray(0, check(size, "getxattr", name)));
}

/** Sets an extended attribute. Throws `EOPNOTSUPP` or `EPERM` where the file system or kind of file has none. */
export function setAttribute(fd: Fd, name: string, bytes: Uint8Array): void {
  const given = pin(bytes.length);
  given.bytes.set(bytes);
  const path = scratchString(procPath(fd));
  check(trySys("setxattr", path, attributeName(name), given, bytes.length, 0), "setxattr", name);
}

/** Errors that refuse one attribute, and no others. */
const NOT_KEPT: ReadonlySet<number> = new Set([EPERM, E2BIG, EACCES, EINVAL, ERANGE, ENAMETOOLONG, EOPNOTSUPP]);

/**
 * Whether the kernel's result for a new attribute says that this one cannot be stored here, or not by us: the file is
 * good without it. `file` is on the same file system. Some report one that is too large for them as a full disk.
 */
export function isNotKept(result: number, file: Fd): boolean {
  return NOT_KEPT.has(result) || (result === ENOSPC && fileSystemOf(file).availableBytes > XATTR_MAX);
}

/**
 * Returns the names of all extended attributes of a file that are visible to us; none where the file system has none.
 */
export function attributeNames(fd: Fd): string[] {
  let size = trySys("flistxattr", fd.number, value, value.size);
  if (size === EBADF) size = trySys("listxattr", scratchString(procPath(fd)), value, value.size);
  if (size === EOPNOTSUPP) return [];
  const names = value.bytes.toString("latin1", 0, check(size, "listxattr"));
  return names.split("\0").slice(0, -1);
}

/** Removes an extended attribute, if it exists. */
export function removeAttribute(fd: Fd, name: string): void {
  const result = trySys("removexattr", scratchString(procPath(fd)), attributeName(name));
  if (result !== ENODATA) check(result, "removexattr", name);
}

const CREATED_ATTRIBUTE = "user.crtime_usec";

/**
 * Returns the creation time of a file in µs: that of the file system, or that of the copied original in
 * `user.crtime_usec` where that is earlier; null where neither is known.
 */
export function createdUsec(fd: Fd): bigint | null {
  return createdOf(procPath(fd), statFd(fd).birthNs);
}

/** As `createdUsec()`, for an entry of a directory with its status. */
export function entryCreatedUsec(directory: Fd, entry: string, { birthNs }: FileStatus): bigint | null {
  return createdOf(`${procPath(directory)}/${entry}`, birthNs);
}

function createdOf(path: string, birthNs: bigint | null): bigint | null {
  const birth = usecOfTime(birthNs ?? 0n) || null;
  const kept = attributeAt(path, CREATED_ATTRIBUTE);
  const original = kept?.length === 8 ? kept.readBigUInt64LE() : 0n;
  if (original === 0n || original === 0xffff_ffff_ffff_ffffn) return birth;
  return birth === null || original < birth ? original : birth;
}

/** Stores in a copy the creation time of its original, in µs; nothing for one before 1970, which is "not known". */
export function noteCreated(fd: Fd, usec: bigint): void {
  if (usec <= 0n) return;
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(usec);
  setAttribute(fd, CREATED_ATTRIBUTE, bytes);
}

/** Returns the present path of a descriptor in our mount namespace. */
export function pathOf(fd: Fd): string {
  return readLinkAt(null, procPath(fd));
}
