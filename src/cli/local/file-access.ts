// Opens files of the user whose descriptors are sent to a daemon: with the user's own permissions, and without O_APPEND
// and O_NONBLOCK, because the daemons refuse such descriptors.
import { constants, openSync, statSync } from "node:fs";
import { errnoText } from "../../base/errno.ts";
import { ErrnoError } from "../../base/error.ts";
import { Fd } from "../../kernel/file/fd.ts";

/** `read` a file, read a `directory`, or `create` a file or truncate it for writing. */
export type FileUse = "read" | "directory" | "create";

const FLAGS: Readonly<Record<FileUse, number>> = {
  read: constants.O_RDONLY | constants.O_NOCTTY,
  directory: constants.O_RDONLY | constants.O_DIRECTORY,
  create: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOCTTY,
};

/** Whether a path is a regular file that is not empty; false if it cannot be looked up. */
export function hasContent(path: string): boolean {
  const stat = attemptStat(path);
  return stat?.isFile() === true && stat.size > 0n;
}

/** Whether two paths, whose links are followed, are those of one file; false if one cannot be looked up. */
export function isSameFile(path: string, other: string): boolean {
  const [one, two] = [attemptStat(path), attemptStat(other)];
  return one !== undefined && one.dev === two?.dev && one.ino === two.ino;
}

function attemptStat(path: string) {
  try {
    return statSync(path, { throwIfNoEntry: false, bigint: true });
  } catch {
    return undefined; // opening it then says what is wrong
  }
}

/**
 * Opens a path, or duplicates a standard stream given by its number. The caller closes the Fd. Throws an ErrnoError.
 */
export function openUserFile(file: string | number, use: FileUse): Fd {
  if (typeof file === "number") return Fd.adopt(file).duplicate();
  try {
    return Fd.adopt(openSync(file, FLAGS[use], 0o666));
  } catch (error) {
    const { code = "EIO" } = error as { code?: string };
    throw new ErrnoError(code, errnoText(code), { cause: error });
  }
}
