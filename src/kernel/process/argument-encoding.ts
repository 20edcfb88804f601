// Arguments of this process that are not UTF-8. The engine has replaced their bytes by U+FFFD: such a text would name
// another file, or be another value. See proc_pid_cmdline(5).
import { isUtf8 } from "node:buffer";
import { readFileSync } from "node:fs";
import { unlessNoFile } from "../../base/absence.ts";

const NUL = "\0";

/** Returns the first argument that is not UTF-8, with its bytes beyond ASCII written out; null where there is none. */
export function otherEncoding(path = "/proc/self/cmdline"): string | null {
  // As Latin-1, each character is a byte.
  const args = unlessNoFile(() => readFileSync(path, "latin1"), "").split(NUL);
  const found = args.find((arg) => !isUtf8(Buffer.from(arg, "latin1")));
  return found?.replace(/[^ -~]/g, (byte) => `\\x${byte.charCodeAt(0).toString(16).padStart(2, "0")}`) ?? null;
}
