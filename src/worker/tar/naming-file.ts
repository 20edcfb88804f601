// Errors of a broken disk, in a tree of many files: the call that fails does not know their names.
import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { type RawName, textOf } from "../../kernel/tree/tree.ts";

/** Returns what `read` returns; an error of a system call names the file. Other errors have texts of their own. */
export function namingFile<Result>(path: RawName, read: () => Result): Result {
  try {
    return read();
  } catch (error) {
    const errno = errnoNameOf(error);
    if (errno === null || error instanceof ErrnoError) throw error;
    throw new ErrnoError(errno, `Failed to read '${textOf(path)}': ${errnoText(errno)}`, { cause: error });
  }
}
