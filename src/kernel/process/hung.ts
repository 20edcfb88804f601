// Detects that a process cannot end because a file system does not answer. A timeout alone would be wrong on a busy
// host, so the kernel's state of its threads is read.
import type { PidRef } from "./pidref.ts";
import { type Threads, uninterruptibleSleep } from "./uninterruptible-sleep.ts";

/** The interval of the checks: a process in the same uninterruptible sleep at two of them may wait for ever. */
const CHECK_INTERVAL_MS = 2_000;

/**
 * Calls `callback` at each check at which all threads of the process, or its main one, are in the same uninterruptible
 * sleep as at the check before. Returns a function that stops the checks; `process` must stay open until then.
 */
export function whenHung(process: PidRef, threads: Threads, callback: () => void): () => void {
  let last: string | null = null;
  const timer = setInterval(() => {
    const sleep = uninterruptibleSleep(process, threads);
    if (sleep !== null && sleep === last) callback();
    last = sleep;
  }, CHECK_INTERVAL_MS);
  return () => clearInterval(timer);
}
