// Lists directories, and makes and removes their entries. See unlink(2), chmod(2), mkdir(2), getdents(2).
import { AT_FDCWD, AT_REMOVEDIR } from "../syscall/constants.ts";
import { pinForever, scratchString } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";
import type { Fd } from "./fd.ts";
import { FILE_KINDS, type FileKind } from "./status.ts";

/** Removes the file `path`, relative to `directory` if given. */
export function unlink(path: string, directory?: Fd): void {
  check(trySys("unlinkat", directory?.number ?? AT_FDCWD, scratchString(path), 0), "unlink", path);
}

/** Removes the empty directory `path`. */
export function removeDirectory(path: string, directory?: Fd): void {
  check(trySys("unlinkat", directory?.number ?? AT_FDCWD, scratchString(path), AT_REMOVEDIR), "rmdir", path);
}

/** Sets the permissions of `path`; follows symbolic links. */
export function chmod(path: string, mode: number, directory?: Fd): void {
  check(trySys("fchmodat", directory?.number ?? AT_FDCWD, scratchString(path), mode), "chmod", path);
}

/** Makes the directory `path`; throws `EEXIST` where it exists. The umask applies. */
export function makeDirectory(path: string, mode: number, directory?: Fd): void {
  check(trySys("mkdirat", directory?.number ?? AT_FDCWD, scratchString(path), mode), "mkdir", path);
}

interface DirectoryEntry {
  readonly name: string;
  /** Null where the file system does not report it: use `statAt()` then. */
  readonly kind: FileKind | null;
}

// struct linux_dirent64 { 0 u64 d_ino; 8 s64 d_off; 16 u16 d_reclen; 18 u8 d_type; 19 char d_name[]; }
const entries = pinForever(32 * 1024);

/**
 * Returns the entries of `directory` (opened with mode "directory") from its present offset on, without `.` and `..`.
 * With "latin1", names have one character for each byte.
 */
export function listDirectory(directory: Fd, encoding: "utf8" | "latin1" = "utf8"): DirectoryEntry[] {
  const list: DirectoryEntry[] = [];
  for (;;) {
    const size = check(trySys("getdents64", directory.number, entries, entries.size), "getdents");
    if (size === 0) return list;
    for (let at = 0; at < size; at += entries.view.getUint16(at + 16, true)) {
      const name = entries.bytes.toString(encoding, at + 19, entries.bytes.indexOf(0, at + 19));
      if (name === "." || name === "..") continue;
      list.push({ name, kind: FILE_KINDS[entries.view.getUint8(at + 18)] ?? null });
    }
  }
}
