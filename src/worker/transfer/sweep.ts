// systemd-import-sweep DIRECTORY…: removes what transfers that were killed left in directories of images. Started by the
// daemon, which itself never touches an image.
import { openPath } from "../../kernel/file/fd.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import { log } from "../program/log.ts";
import { sweepOrphans } from "./remove-orphans.ts";

/** Sweeps the directories; returns the exit code. */
export async function main(directories: string[]): Promise<number> {
  for (const path of directories) sweepDirectory(path);
  return 0;
}

function sweepDirectory(path: string): void {
  try {
    using root = openPath(path, "directory");
    const removed = sweepOrphans(root);
    if (removed.length > 0) log("info", `Removed what was left over in '${path}': ${removed.join(", ")}`);
  } catch (error) {
    if (!isErrno(error, "ENOENT", "ENOTDIR", "EROFS")) throw error;
  }
}
