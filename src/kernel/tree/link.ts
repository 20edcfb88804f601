// Makes, renames and removes names in open directories. See rename(2), open(2), mknod(2).
import { Fd } from "../file/fd.ts";
import {
  AT_REMOVEDIR,
  EEXIST,
  EINVAL,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_RDWR,
  RENAME_NOREPLACE,
} from "../syscall/constants.ts";
import { check, SyscallError, trySys } from "../syscall/sys.ts";
import { RawStatus } from "./raw-status.ts";
import { type RawName, rawAddress, readLinkIn, textOf } from "./tree.ts";

const CREATE_NEW = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;

/** A name in an open directory. */
export interface NamedPlace {
  readonly directory: Fd;
  readonly name: RawName;
}

/**
 * Renames a file unless the new name is taken; returns the kernel's result, such as -EEXIST. File systems without
 * RENAME_NOREPLACE (network, FUSE) return EINVAL, but only after the kernel has checked that the name is free: there, a
 * plain rename follows, which replaces a file that is made in between.
 */
export function tryRenameNew(from: NamedPlace, to: NamedPlace): number {
  const rename = (flags: number) => {
    const [source, target] = [from.directory.number, to.directory.number];
    return trySys("renameat2", source, rawAddress(from.name), target, rawAddress(to.name), flags);
  };
  const result = rename(RENAME_NOREPLACE);
  return result === EINVAL ? rename(0) : result;
}

/** As `tryRenameNew()`, but throws, for example `EEXIST` where the new name is taken. */
export function renameNew(from: NamedPlace, to: NamedPlace): void {
  check(tryRenameNew(from, to), "rename", textOf(to.name));
}

/** Makes a new file and opens it for reading and writing. Throws `EEXIST` where the name is taken. */
export function createFile({ directory, name }: NamedPlace, mode: number): Fd {
  const result = trySys("openat", directory.number, rawAddress(name), CREATE_NEW, mode);
  return Fd.adopt(check(result, "create", textOf(name)));
}

/** Makes a new directory. Throws `EEXIST` where the name is taken. */
export function createDirectory({ directory, name }: NamedPlace, mode: number): void {
  check(trySys("mkdirat", directory.number, rawAddress(name), mode), "mkdir", textOf(name));
}

const present = new RawStatus();

/**
 * Makes a directory with mode 0700; returns false where it exists. With `replace`, another file of that name is
 * removed; without it, that is `EEXIST`.
 */
export function makeDirectory({ directory, name }: NamedPlace, replace: boolean): boolean {
  const make = () => trySys("mkdirat", directory.number, rawAddress(name), 0o700);
  let result = make();
  if (result === EEXIST && replace && present.readEntry(directory, name).kind !== "directory") {
    check(trySys("unlinkat", directory.number, rawAddress(name), 0), "unlink", textOf(name));
    result = make();
  }
  if (result === EEXIST) {
    if (present.readEntry(directory, name).kind === "directory") return false;
    throw new SyscallError("mkdir", "EEXIST", textOf(name));
  }
  check(result, "mkdir", result < 0 ? textOf(name) : undefined);
  return true;
}

/** Removes an empty directory. */
export function removeEmpty({ directory, name }: NamedPlace): void {
  check(trySys("unlinkat", directory.number, rawAddress(name), AT_REMOVEDIR), "rmdir", textOf(name));
}

/**
 * Makes a symbolic link, fifo, socket or device with the kind, target and device number of `original`, whose status is
 * `status`.
 */
export function makeLike(original: Fd, status: RawStatus, { directory, name }: NamedPlace): void {
  if (status.kind === "symlink") {
    const target = rawAddress(readLinkIn(original, "") ?? "");
    check(trySys("symlinkat", target, directory.number, rawAddress(name)), "symlink");
    return;
  }
  check(trySys("mknodat", directory.number, rawAddress(name), status.mode, status.deviceNumber), "mknod");
}
