// Names of files: moving, making and looking at them below open directories. See rename(2), link(2), open(2).
import { Fd } from "../file/fd.ts";
import { AT_REMOVEDIR, EINVAL, O_CLOEXEC, O_CREAT, O_EXCL, O_RDWR, RENAME_NOREPLACE } from "../syscall/constants.ts";
import { check, trySys } from "../syscall/sys.ts";
import { type RawName, type RawStatus, rawAddress, readLinkIn, textOf } from "./tree.ts";

const CREATE_NEW = O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC;

/** A place for a name. */
export interface NamedPlace {
  readonly directory: Fd;
  readonly name: RawName;
}

/**
 * Renames a file unless the new name is taken (`EEXIST`); returns the kernel's result. The kernel itself looks at the name
 * before it asks the file system, and file systems without the flag (of networks and of FUSE) answer EINVAL only then:
 * there, a file that comes in between is replaced.
 */
export function tryRenameNew(from: NamedPlace, to: NamedPlace): number {
  const rename = (flags: number) => {
    const [source, target] = [from.directory.number, to.directory.number];
    return trySys("renameat2", source, rawAddress(from.name), target, rawAddress(to.name), flags);
  };
  const result = rename(RENAME_NOREPLACE);
  return result === EINVAL ? rename(0) : result;
}

/** Renames a file, unless the new name is taken (`EEXIST`). */
export function renameNew(from: NamedPlace, to: NamedPlace): void {
  check(tryRenameNew(from, to), "rename", textOf(to.name));
}

/** Makes a file that was not there, open for reading and writing. `EEXIST` when it was. */
export function createFile({ directory, name }: NamedPlace, mode: number): Fd {
  const result = trySys("openat", directory.number, rawAddress(name), CREATE_NEW, mode);
  return Fd.adopt(check(result, "create", textOf(name)));
}

/** Makes a directory that was not there. `EEXIST` when it was. */
export function createDirectory({ directory, name }: NamedPlace, mode: number): void {
  check(trySys("mkdirat", directory.number, rawAddress(name), mode), "mkdir", textOf(name));
}

/** Removes an empty directory. */
export function removeEmpty({ directory, name }: NamedPlace): void {
  check(trySys("unlinkat", directory.number, rawAddress(name), AT_REMOVEDIR), "rmdir", textOf(name));
}

/** Makes a symbolic link, fifo, socket or device like `original`, whose status is `status`: its kind, target and number. */
export function makeLike(original: Fd, status: RawStatus, { directory, name }: NamedPlace): void {
  if (status.kind === "symlink") {
    const target = rawAddress(readLinkIn(original, "") ?? "");
    check(trySys("symlinkat", target, directory.number, rawAddress(name)), "symlink");
    return;
  }
  check(trySys("mknodat", directory.number, rawAddress(name), status.mode, status.deviceNumber), "mknod");
}
