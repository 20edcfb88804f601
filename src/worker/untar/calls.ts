// System calls that make files of all kinds in an open directory, by raw names of one component. None of them follows a
// link. Functions whose names begin with `try` return the kernel's result: 0 or more, or a negative errno. See
// openat2(2), mknod(2), link(2), utimensat(2), xattr(7).
import { Fd } from "../../kernel/file/fd.ts";
import { packedDevice } from "../../kernel/file/status.ts";
import {
  AT_REMOVEDIR,
  AT_SYMLINK_NOFOLLOW,
  E2BIG,
  EAGAIN,
  ERANGE,
  O_CLOEXEC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_WRONLY,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
} from "../../kernel/syscall/constants.ts";
import { pinForever } from "../../kernel/syscall/mem.ts";
import { check, SyscallError, trySys } from "../../kernel/syscall/sys.ts";
import { type RawName, rawAddress, textOf } from "../../kernel/tree/tree.ts";

// struct open_how { __u64 flags; __u64 mode; __u64 resolve; }
const how = pinForever(24);

function openResolved(parent: Fd, name: RawName, flags: number, mode: number): number {
  how.view.setBigUint64(0, BigInt(flags | O_CLOEXEC | O_NOFOLLOW), true);
  how.view.setBigUint64(8, BigInt(mode), true);
  how.view.setBigUint64(16, BigInt(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS), true);
  let result = EAGAIN;
  // The kernel returns EAGAIN where a rename anywhere on the system happened meanwhile.
  for (let tries = 0; tries < 128 && result === EAGAIN; tries++) {
    result = trySys("openat2", parent.number, rawAddress(name), how, how.size);
  }
  return result;
}

/** Opens a directory; returns its descriptor number. */
export function tryOpenDirectory(parent: Fd, name: RawName): number {
  return openResolved(parent, name, O_DIRECTORY | O_NONBLOCK, 0);
}

/** Makes a new regular file, opened for writing; returns its descriptor number, or -EEXIST where the name is taken. */
export function tryCreateFile(parent: Fd, name: RawName, mode: number): number {
  return openResolved(parent, name, O_CREAT | O_EXCL | O_WRONLY, mode);
}

/** Makes a directory; -EEXIST where the name is taken. */
export function tryMakeDirectory(parent: Fd, name: RawName, mode: number): number {
  return trySys("mkdirat", parent.number, rawAddress(name), mode);
}

/** Makes a symbolic link. Throws `ENOENT` for an empty target. */
export function tryMakeSymlink(parent: Fd, name: RawName, target: RawName): number {
  if (target.length === 0) throw new SyscallError("symlink", "ENOENT", textOf(name));
  return trySys("symlinkat", rawAddress(target), parent.number, rawAddress(name));
}

/** The bits of st_mode for each kind of node. */
export const NODE_MODE = { character: 0o020000, block: 0o060000, fifo: 0o010000 } as const;

/** Makes a device node or a fifo. */
export function tryMakeNode(parent: Fd, name: RawName, mode: number, major: number, minor: number): number {
  return trySys("mknodat", parent.number, rawAddress(name), mode, packedDevice(major, minor));
}

/** Makes a hard link in `parent` to the entry `source` of `from`. */
export function tryLink(from: Fd, source: RawName, parent: Fd, name: RawName): number {
  return trySys("linkat", from.number, rawAddress(source), parent.number, rawAddress(name), 0);
}

export function tryRemoveDirectory(parent: Fd, name: RawName): number {
  return trySys("unlinkat", parent.number, rawAddress(name), AT_REMOVEDIR);
}

/** Sets owner and group of an entry, also of a link. */
export function changeEntryOwner(parent: Fd, name: RawName, uid: number, gid: number): void {
  const result = trySys("fchownat", parent.number, rawAddress(name), uid, gid, AT_SYMLINK_NOFOLLOW);
  if (result < 0) check(result, "chown", textOf(name));
}

/** Sets the permissions of an entry, which must not be a link: the call would follow it. */
export function changeEntryMode(parent: Fd, name: RawName, mode: number): void {
  const result = trySys("fchmodat", parent.number, rawAddress(name), mode);
  if (result < 0) check(result, "chmod", textOf(name));
}

// struct timespec[2] { __s64 tv_sec; __s64 tv_nsec; }: access time and modification time
const times = pinForever(32);

function putTime(seconds: number, nanoseconds: number): void {
  for (const at of [0, 16]) {
    times.view.setBigInt64(at, BigInt(seconds), true);
    times.view.setBigInt64(at + 8, BigInt(nanoseconds), true);
  }
}

/** Sets access and modification time of an entry, also of a link. */
export function setEntryTime(parent: Fd, name: RawName, seconds: number, nanoseconds: number): void {
  putTime(seconds, nanoseconds);
  const result = trySys("utimensat", parent.number, rawAddress(name), times, AT_SYMLINK_NOFOLLOW);
  if (result < 0) check(result, "utimensat", textOf(name));
}

/** Sets access and modification time of an open file. */
export function setFileTime(file: Fd, seconds: number, nanoseconds: number): void {
  putTime(seconds, nanoseconds);
  check(trySys("utimensat", file.number, 0, times, 0), "utimensat");
}

const VALUE_MAX = 64 << 10;
const value = pinForever(VALUE_MAX);
const attributeName = pinForever(256);

/** Copies name and value to pinned memory. Returns 0, or the kernel's error for one that is too long. */
function putAttribute(name: string, bytes: Buffer): number {
  if (name.length === 0 || name.length > 255 || name.includes("\0")) return ERANGE;
  if (bytes.length > VALUE_MAX) return E2BIG;
  attributeName.bytes.write(name, 0, "latin1");
  attributeName.bytes[name.length] = 0;
  value.bytes.set(bytes);
  return 0;
}

/** Sets an extended attribute of an open file. */
export function trySetAttribute(file: Fd, name: string, bytes: Buffer): number {
  const refused = putAttribute(name, bytes);
  if (refused !== 0) return refused;
  return trySys("fsetxattr", file.number, attributeName, value, bytes.length, 0);
}

/** Sets an extended attribute of an entry, also of a link. */
export function trySetEntryAttribute(parent: Fd, entry: RawName, name: string, bytes: Buffer): number {
  const refused = putAttribute(name, bytes);
  if (refused !== 0) return refused;
  const path = rawAddress(`/proc/self/fd/${parent.number}/${entry}`);
  return trySys("lsetxattr", path, attributeName, value, bytes.length, 0);
}

/** Sets the size of an open file in bytes; `name` is that of the file, for the error. */
export function setLength(file: Fd, bytes: number, name?: RawName): void {
  const result = trySys("ftruncate", file.number, bytes);
  check(result, "truncate", name === undefined || result >= 0 ? undefined : textOf(name));
}

/** Sets the umask of the process; returns the former one. */
export function setMask(mask: number): number {
  return trySys("umask", mask);
}

/**
 * Takes ownership of a descriptor number that `tryOpenDirectory()` or `tryCreateFile()` returned; throws for a negative
 * errno.
 */
export function adopt(result: number, call: string, name: RawName): Fd {
  return Fd.adopt(result < 0 ? check(result, call, textOf(name)) : result);
}
