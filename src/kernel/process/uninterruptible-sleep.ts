// Detects processes that SIGKILL cannot end: a thread in an uninterruptible sleep ("D" in ps) gets no signal until its
// wait ends, which may never happen with a FUSE file system. See proc(5), /proc/PID/task/TID/status.
import { readdirSync, readFileSync } from "node:fs";
import type { PidRef } from "./pidref.ts";

/** All threads of a process, or the main one, which handles signals in our own programs. */
export type Threads = "all" | "main";

/**
 * Returns an identifier of the uninterruptible sleeps of the threads where all of them are in one; null where a thread
 * is not, and where the process has ended. The same identifier at a later call means that no thread has woken up in
 * between.
 */
export function uninterruptibleSleep(process: PidRef, threads: Threads = "all"): string | null {
  try {
    const { pid } = process;
    const directory = `/proc/${pid}/task`;
    return process.verified(() => sleepsOf(directory, threads === "main" ? [String(pid)] : readdirSync(directory)));
  } catch {
    // The process has ended, perhaps while it was read, or its state cannot be read now: the caller must not take it
    // for hung, and calls again later.
    return null;
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
