// Entries of directories: making, removing and changing them. See unlink(2), chmod(2), rename(2), mkdir(2).
import type { Fd } from "./fd.ts";
import { scratchString } from "./mem.ts";
import { check, trySys } from "./sys.ts";

const AT_FDCWD = -100;
const AT_REMOVEDIR = 0x200;

/** Removes the file `path`, below `directory` when one is given. */
export function unlink(path: string, directory?: Fd): void {
  check(trySys("unlinkat", directory?.number ?? AT_FDCWD, scratchString(path), 0), "unlink", path);
}

/** Removes the empty directory `path`. */
export function removeDirectory(path: string, directory?: Fd): void {
  check(trySys("unlinkat", directory?.number ?? AT_FDCWD, scratchString(path), AT_REMOVEDIR), "rmdir", path);
}

/** Sets the permissions of `path`, through a symbolic link at its end. */
export function chmod(path: string, mode: number, directory?: Fd): void {
  check(trySys("fchmodat", directory?.number ?? AT_FDCWD, scratchString(path), mode), "chmod", path);
}

/** Makes the directory `path`; `EEXIST` when there is one. The umask applies. */
export function makeDirectory(path: string, mode: number, directory?: Fd): void {
  check(trySys("mkdirat", directory?.number ?? AT_FDCWD, scratchString(path), mode), "mkdir", path);
}
