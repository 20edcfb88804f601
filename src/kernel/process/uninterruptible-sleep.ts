// Whether a process that was told to die can: a thread in an uninterruptible sleep ("D" in ps) gets no signal until what it
// waits for has happened. A disk answers some time; a FUSE file system may never. See proc(5), /proc/PID/task/TID/status.
import { readdirSync, readFileSync } from "node:fs";
import type { PidRef } from "./pidref.ts";

/** All threads of a process, or the one that handles signals in a program of ours. */
export type Threads = "all" | "main";

/**
 * Names the uninterruptible sleeps of a process when no thread of those can run; null when one can, and when it is gone. The
 * same name twice means that none of the threads woke up in between.
 */
export function uninterruptibleSleep(process: PidRef, threads: Threads = "all"): string | null {
  try {
    const { pid } = process;
    const directory = `/proc/${pid}/task`;
    return process.verified(() => sleepsOf(directory, threads === "main" ? [String(pid)] : readdirSync(directory)));
  } catch {
    return null; // gone, also in the midst of reading
  }
}

function sleepsOf(directory: string, threads: readonly string[]): string | null {
  const sleeps: string[] = [];
  for (const thread of threads) {
    const status = readFileSync(`${directory}/${thread}/status`, "latin1");
    const state = /^State:\t(.)/m.exec(status)?.[1];
    if (state === "Z" || state === "X") continue;
    if (state !== "D") return null;
    sleeps.push(`${thread}/${/^voluntary_ctxt_switches:\t(\d+)/m.exec(status)?.[1]}`);
  }
  return sleeps.length === 0 ? null : sleeps.join(" ");
}
