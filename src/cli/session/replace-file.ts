// Writes a file as a whole: whoever reads it meanwhile sees the one before.
import { closeSync, fchmodSync, fsyncSync, openSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { failed } from "./failure.ts";

/**
 * Puts `text` at `path`, readable for everybody, by a temporary file beside it. Throws a Failure, and leaves what was there
 * as it was. The temporary name ends with `.new`, which programs that look for a suffix pass over.
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
    // A file that was there before is another's.
    if ((error as { code?: string }).code !== "EEXIST") rmSync(temporary, { force: true });
    throw failed(`Cannot write '${path}'`, error);
  }
}
