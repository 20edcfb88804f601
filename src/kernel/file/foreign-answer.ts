// Detects files on file systems that another program or host implements (FUSE, network), whose calls may never return.
// It reads only the kernel's list of mounts, so that it cannot block itself.
import { mortal } from "../syscall/mortal.ts";
import type { Fd } from "./fd.ts";
import { mountLineOf } from "./mount-line.ts";

const REMOTE_TYPES =
  /^(?:fuse(?:blk)?(?:\..*)?|nfs4?|cifs|smb3|9p|ceph|afs|coda|lustre|virtiofs|glusterfs|ocfs2|gfs2|orangefs)$/;

/** Whether calls on the file may block for ever. Before Linux 5.8 its mount is unknown: false. */
function mayHang(file: Fd): boolean {
  const [, behind = ""] = mountLineOf(file)?.split(" - ") ?? [];
  return REMOTE_TYPES.test(behind.split(" ")[0] ?? "");
}

/** Runs a synchronous function and returns its value. */
export type Attempt = <Value>(work: () => Value) => Value;

/**
 * Returns the function by which a worker must make blocking calls on these files: where they may hang, SIGTERM and
 * SIGINT end the process at once meanwhile (mortal.ts).
 */
export function attemptOn(...files: readonly Fd[]): Attempt {
  return files.some(mayHang) ? mortal : (work) => work();
}
