// The output of an export. A regular file gets its name when it is complete. Devices, fifos and other special files are
// opened and written to, as by a redirection of a shell, and so are files that no other can replace: mount points, and
// files in directories where this user may not rename one. No other file is removed. Data is not synced to the disk, as
// with cp(1): after a loss of power a file may be incomplete.
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { pathOf } from "../../kernel/file/attributes.ts";
import { requireWritten } from "../../kernel/file/byte-io.ts";
import { Fd, openPath, readLinkAt, statFd, statPath } from "../../kernel/file/fd.ts";
import { changeMode, changeOwner } from "../../kernel/file/ownership.ts";
import type { FileStatus } from "../../kernel/file/status.ts";
import { isErrno, SyscallError, unlessSyscallError } from "../../kernel/syscall/sys.ts";
import { isTerminal } from "../../kernel/terminal/is-terminal.ts";
import { Stage } from "../image/stage.ts";
import { setLength } from "../untar/calls.ts";

/** The output of an export. */
export interface Output {
  readonly file: Fd;
  /** Renames the file to its name, where it has one. Throws where bytes turn out not to be stored (NFS, FUSE). */
  done(): void;
  [Symbol.dispose](): void;
}

const FILE_MODE = 0o644;
const LINKS_MAX = 40;

/**
 * Opens standard output, or the file at `path`. Throws `EISDIR` for a directory, and `EINVAL` where opening it would
 * empty the file `source`, which is exported.
 */
export async function openOutput(
  path: string | undefined,
  kind: "tar" | "raw",
  source: Fd | null = null,
): Promise<Output> {
  if (path === undefined || path === "" || path === "-") return standardOutput(kind);
  using owner = new DisposableStack();
  const target = await openExisting(resolve(path));
  if (target === null) return stageAt(targetOfLinks(resolve(path)), null);
  owner.use(target);
  const status = statFd(target);
  const isNamed = status.kind === "regular" && isSame(pathOf(target), status);
  const stage = isNamed && !status.isMountPoint ? replacement(pathOf(target), status) : null;
  if (stage !== null) return stage;
  if (source !== null && isSameFile(statFd(source), status)) {
    throw new ErrnoError("EINVAL", `Cannot export to '${path}': it is the image itself.`);
  }
  if (status.kind === "regular") setLength(target, 0);
  owner.move();
  return { file: target, done: () => requireWritten(target), [Symbol.dispose]: () => target.close() };
}

/** Makes a file that replaces the one at `path` when it is complete; returns null where this user may not. */
function replacement(path: string, old: FileStatus): Output | null {
  if (isKeptByStickyBit(dirname(path), old)) return null;
  try {
    return stageAt(path, old);
  } catch (error) {
    if (["EACCES", "EPERM", "EROFS"].includes(errnoNameOf(error) ?? "")) return null;
    throw error;
  }
}

const STICKY = 0o1000;

/** Whether only the owner of a file may replace it, or the owner of its directory: see "sticky bit" in inode(7). */
function isKeptByStickyBit(directory: string, { uid }: FileStatus): boolean {
  const parent = statPath(directory);
  const self = process.geteuid?.() ?? 0;
  return (parent.mode & STICKY) !== 0 && self !== 0 && self !== uid && self !== parent.uid;
}

function standardOutput(kind: "tar" | "raw"): Output {
  const file = Fd.inherited(1);
  if (kind === "tar" && isTerminal(1)) throw new ErrnoError("EINVAL", "Refusing to write archive to TTY.");
  // Not closed, so that no other file gets the descriptor 1.
  return { file, done: () => requireWritten(file), [Symbol.dispose]: () => {} };
}

/**
 * Opens an existing file for writing, following links; returns null when there is none. On another thread, because
 * opening a fifo without a reader blocks.
 */
async function openExisting(path: string): Promise<Fd | null> {
  try {
    const handle = await open(path, constants.O_WRONLY | constants.O_NOCTTY);
    try {
      return openPathOf(handle.fd);
    } finally {
      await handle.close();
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return null;
    if (code === "EISDIR") throw new ErrnoError("EISDIR", `Cannot export to '${path}': it is a directory.`);
    throw error;
  }
}

/** Returns another descriptor of the same open file. */
function openPathOf(number: number): Fd {
  using borrowed = { fd: Fd.adopt(number), [Symbol.dispose]: () => void borrowed.fd.take() };
  return borrowed.fd.duplicate();
}

/** Whether a path names the file: one in /proc/PID/fd may be deleted, or in another mount namespace. */
function isSame(path: string, status: FileStatus): boolean {
  const found = unlessSyscallError(() => statPath(path, "no-follow"), null);
  return found !== null && isSameFile(found, status);
}

function isSameFile(a: FileStatus, b: FileStatus): boolean {
  return a.dev === b.dev && a.ino === b.ino;
}

/** Resolves symbolic links; the last target may be missing. */
function targetOfLinks(path: string): string {
  let current = path;
  for (let count = 0; count < LINKS_MAX; count++) {
    try {
      current = resolve(dirname(current), readLinkAt(null, current));
    } catch (error) {
      if (isErrno(error, "ENOENT", "EINVAL")) return current;
      throw error;
    }
  }
  throw new SyscallError("open", "ELOOP", path);
}

/** Makes a temporary file beside `path`, with owner and permissions of the file `old` that it replaces. */
function stageAt(path: string, old: FileStatus | null): Output {
  const directory = openPath(dirname(path), "directory");
  try {
    const stage = Stage.file(directory, "export", FILE_MODE);
    return {
      file: stage.file,
      done: () => {
        if (old !== null) resemble(stage.file, old);
        stage.putFile(basename(path), { sync: false });
      },
      [Symbol.dispose]: () => {
        stage[Symbol.dispose]();
        directory.close();
      },
    };
  } catch (error) {
    directory.close();
    throw error;
  }
}

function resemble(file: Fd, { uid, gid, mode }: FileStatus): void {
  const own = statFd(file);
  try {
    if (own.uid !== uid || own.gid !== gid) changeOwner(file, uid, gid);
    changeMode(file, mode & 0o777);
  } catch (error) {
    // A user who may not change the owner keeps the file.
    if (!isErrno(error, "EPERM")) throw error;
  }
}
