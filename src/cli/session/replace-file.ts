// Replaces a file atomically: another process reads either the old or the new contents.
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { failed } from "./failure.ts";

/**
 * Writes `text` to a temporary file in the same directory and renames it to `path`, mode 0644. Throws a Failure and
 * leaves the old file if that fails. The temporary name ends with `.new`, so programs that look for a suffix such as
 * `.nspawn` ignore it.
 */
export function replaceFile(path: string, text: string): void {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.new`);
  try {
    const file = openSync(temporary, "wx", 0o600);
    try {
      writeFileSync(file, text);
      fchmodSync(file, 0o644);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    // EEXIST: the temporary file belongs to another process.
    if ((error as { code?: string }).code !== "EEXIST") rmSync(temporary, { force: true });
    throw failed(`Cannot write '${path}'`, error);
  }
}
