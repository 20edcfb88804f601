// Files of the user that are handed to a daemon: opened with the user's own rights, and in no unusual way, because
// daemons refuse descriptors that append or do not wait.
import { constants, openSync } from "node:fs";
import { errnoText } from "../../base/errno.ts";
import { ErrnoError } from "../../base/error.ts";
import { Fd } from "../../kernel/file/fd.ts";

export type FileUse = "read" | "directory" | "create";

const FLAGS: Readonly<Record<FileUse, number>> = {
  read: constants.O_RDONLY | constants.O_NOCTTY,
  directory: constants.O_RDONLY | constants.O_DIRECTORY,
  create: constants.O_WRONLY | constants.O_CREAT | constants.O_TRUNC | constants.O_NOCTTY,
};

/** Opens a file, or takes a standard stream by its number; the caller closes it. Throws an error with errno. */
export function openUserFile(file: string | number, use: FileUse): Fd {
  if (typeof file === "number") return Fd.adopt(file).duplicate();
  try {
    return Fd.adopt(openSync(file, FLAGS[use], 0o666));
  } catch (error) {
    const { code = "EIO" } = error as { code?: string };
    throw new ErrnoError(code, errnoText(code), { cause: error });
  }
}
