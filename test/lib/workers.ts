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

/** Sends a signal to a process; returns false where it has ended, which a worker may do at any moment. */
export function signalIfThere(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
    return false;
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
