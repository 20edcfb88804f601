// The file with machined-enter that execve(2) is called with.
import { ErrnoError } from "../base/error.ts";
import type { Fd } from "../kernel/file/fd.ts";
import { sealedCopy } from "../kernel/file/memory-file.ts";
import { enterProgram } from "./helper.ts";

async function newFile(): Promise<Fd> {
  const program = enterProgram();
  if (program === null) {
    throw new ErrnoError(
      "EOPNOTSUPP",
      "This build cannot enter machines: it was made without a C compiler or without a static C library; build it where both are installed (Debian: gcc, libc6-dev)",
    );
  }
  return sealedCopy("machined-enter", program);
}

/**
 * Resolves to a new file with machined-enter for each call: a machine that has a shared one open for writing would
 * block its execution. An error need not be awaited: a caller may give up before it needs the file.
 */
export function programFile(): Promise<Fd> {
  const file = newFile();
  file.catch(() => {});
  return file;
}
