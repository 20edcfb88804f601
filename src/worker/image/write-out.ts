// Having what was written reach the disk, which is when a full or broken one says so: fsync(2), syncfs(2).
import { errnoText } from "../../base/errno.ts";
import { ErrnoError } from "../../base/error.ts";
import { pathOf } from "../../kernel/file/attributes.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { SyscallError, sys } from "../../kernel/syscall/sys.ts";

/**
 * Waits until a file or directory, or with "all" its whole file system, is on the disk. Throws an ErrnoError that names `what`, as
 * the caller of the worker knows it.
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
