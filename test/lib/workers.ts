// The workers of a daemon, for tests that stop, kill, or look at them.
import { readFileSync } from "node:fs";

/** Returns the content of a file of a process; "" where the process has ended. */
export function processFile(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, "latin1");
  } catch {
    return "";
  }
}

/**
 * Returns the process numbers of a daemon's workers that run. A child that still has the daemon's command line is none:
 * it runs a single system call for the daemon, or has not yet executed its program.
 */
export function workersOf(daemon: number): number[] {
  const own = processFile(daemon, "cmdline");
  const children = processFile(daemon, `task/${daemon}/children`).split(" ").filter(Boolean).map(Number);
  return children.filter((pid) => !["", own].includes(processFile(pid, "cmdline")));
}
