// Noticing that a process cannot end because a file system does not answer it. Time alone says nothing on a busy host: the kernel
// shows in which sleep a process is.
import type { PidRef } from "./pidref.ts";
import { type Threads, uninterruptibleSleep } from "./uninterruptible-sleep.ts";

/** A process that slept through two looks in the same system call waits for something that may never come. */
const LOOK_EVERY_MS = 2_000;

/**
 * Calls `tell` each time the process is found where it was at the last look, in an uninterruptible sleep of all its threads or of
 * its main one. Returns a function that stops looking; `process` has to be open until then.
 */
export function whenHung(process: PidRef, threads: Threads, tell: () => void): () => void {
  let last: string | null = null;
  const timer = setInterval(() => {
    const sleep = uninterruptibleSleep(process, threads);
    if (sleep !== null && sleep === last) tell();
    last = sleep;
  }, LOOK_EVERY_MS);
  return () => clearInterval(timer);
}
