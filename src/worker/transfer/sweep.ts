// systemd-import-sweep DIRECTORY…: removes the entries that killed transfers left in directories of images. The daemon
// starts it, because it never changes images itself.
import { openPath } from "../../kernel/file/fd.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import { lockDirectoryOf } from "../program/lock-directory.ts";
import { log } from "../program/log.ts";
import { sweepOrphans } from "./remove-orphans.ts";

/** Runs the program; returns the exit code. */
export async function main(directories: string[]): Promise<number> {
  for (const path of directories) sweepDirectory(path);
  return 0;
}

function sweepDirectory(path: string): void {
  try {
    using root = openPath(path, "directory");
    const removed = sweepOrphans(root, lockDirectoryOf(process.geteuid?.() === 0 ? "system" : "user"));
    if (removed.length > 0) log("info", `Removed left-over entries in '${path}': ${removed.join(", ")}`);
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR", "EROFS")) throw error;
  }
}
