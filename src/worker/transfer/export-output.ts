// Where an export goes. What was given by name appears whole or not at all where it is a file; devices, fifos and what else
// can only be written to is opened and written to, as a shell's redirection does. Nothing is ever deleted.
import { constants } from "node:fs";
import { open } from "node:fs/promises";
import { basename, dirname, resolve } from "node:path";
import { isatty } from "node:tty";
import { ErrnoError } from "../../base/error.ts";
import { pathOf } from "../../kernel/file/attributes.ts";
import { Fd, openPath, readLinkAt, statFd, statPath } from "../../kernel/file/fd.ts";
import { changeMode, changeOwner } from "../../kernel/file/ownership.ts";
import type { FileStatus } from "../../kernel/file/status.ts";
import { isErrno, SyscallError } from "../../kernel/syscall/sys.ts";
import { Stage } from "../image/stage.ts";
import { setLength } from "../tar/untar-calls.ts";

/** Where an export goes. */
export interface Output {
  readonly file: Fd;
  /** Gives a named file its name. */
  done(): void;
  [Symbol.dispose](): void;
}

const FILE_MODE = 0o644;
const LINKS_MAX = 40;

/** Standard output, or what `path` names. `EISDIR` for a directory. */
export async function openOutput(path: string | undefined, kind: "tar" | "raw"): Promise<Output> {
  if (path === undefined || path === "" || path === "-") return standardOutput(kind);
  const target = await openExisting(resolve(path));
  if (target === null) return stageAt(targetOfLinks(resolve(path)), null);
  const status = statFd(target);
  const isNamed = status.kind === "regular" && isSame(pathOf(target), status);
  if (!isNamed) {
    if (status.kind === "regular") setLength(target, 0);
    return { file: target, done: () => {}, [Symbol.dispose]: () => target.close() };
  }
  using old = target;
  return stageAt(pathOf(old), status);
}

function standardOutput(kind: "tar" | "raw"): Output {
  const file = Fd.inherited(1);
  if (kind === "tar" && isatty(1)) throw new ErrnoError("EINVAL", "Refusing to write archive to TTY.");
  // The descriptor stays open: nobody else must get the number 1.
  return { file, done: () => {}, [Symbol.dispose]: () => {} };
}

/**
 * Opens what is there for writing, through links; null when nothing is. On another thread, because a fifo without a reader
 * makes us wait.
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

/** A descriptor of our own of the same open file. */
function openPathOf(number: number): Fd {
  using borrowed = { fd: Fd.adopt(number), [Symbol.dispose]: () => void borrowed.fd.take() };
  return borrowed.fd.duplicate();
}

/** Whether a path names that very file: a file in /proc may be deleted, or in another mount namespace. */
function isSame(path: string, { dev, ino }: FileStatus): boolean {
  try {
    const found = statPath(path, "no-follow");
    return found.dev === dev && found.ino === ino;
  } catch (error) {
    if (error instanceof SyscallError) return false;
    throw error;
  }
}

/** Where links lead that end at a name nobody has yet. */
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

/** A file in the making beside that place, with owner and permissions of the one whose name it gets. */
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
    // Whoever may not give it away keeps it.
    if (!isErrno(error, "EPERM")) throw error;
  }
}
