// Waits until written data is on the disk: fsync(2), syncfs(2). A full or broken disk may report its error only then.
import { errnoText } from "../../base/errno.ts";
import { ErrnoError } from "../../base/error.ts";
import { pathOf } from "../../kernel/file/attributes.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { SyscallError, sys } from "../../kernel/syscall/sys.ts";

/**
 * Waits until a file or directory, or with "all" its whole file system, is on the disk. Throws an ErrnoError that names
 * `what`: the path that the user knows.
 */
export function writeOut(file: Fd, extent: "file" | "all", what: string = pathOf(file)): void {
  try {
    sys(extent === "all" ? "syncfs" : "fsync", file.number);
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    const text = `Failed to write '${what}' to the disk: ${errnoText(error.errnoName)}`;
    throw new ErrnoError(error.errnoName, text, { cause: error });
  }
}
