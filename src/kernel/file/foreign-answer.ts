// Whether a file is on a file system that a program or another host answers for, which may never do so. The file system itself is
// not asked: the kernel's list of mounts says what it is.
import { readFileSync } from "node:fs";
import { mortal } from "../syscall/mortal.ts";
import type { Fd } from "./fd.ts";
import { mountIdOf } from "./open-cached.ts";

const ANSWERED_ELSEWHERE =
  /^(?:fuse(?:blk)?(?:\..*)?|nfs4?|cifs|smb3|9p|ceph|afs|coda|lustre|virtiofs|glusterfs|ocfs2|gfs2|orangefs)$/;

/** Whether calls on the file may wait for somebody who never answers. Before Linux 5.8 nothing is known: false. */
function mayNotAnswer(file: Fd): boolean {
  const id = mountIdOf(file);
  if (id === null) return false;
  const line = readFileSync("/proc/self/mountinfo", "latin1")
    .split("\n")
    .find((text) => text.startsWith(`${id} `));
  const [, behind = ""] = line?.split(" - ") ?? [];
  return ANSWERED_ELSEWHERE.test(behind.split(" ")[0] ?? "");
}

/** Runs one piece of work, which is synchronous. */
export type Attempt = <Value>(work: () => Value) => Value;

/**
 * How a worker runs calls on these files: where they may not answer, SIGTERM and SIGINT end the process at once (mortal.ts), and
 * what that leaves is found by its missing lock.
 */
export function attemptOn(...files: readonly Fd[]): Attempt {
  return files.some(mayNotAnswer) ? mortal : (work) => work();
}
