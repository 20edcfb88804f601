// Keeps a process killable while it makes system calls that may never return, because a file system does not answer.
// The signal handlers of the program cannot run during such a call, and a call to FUSE or NFS is interrupted only by a
// fatal signal. So for the time of the call SIGTERM and SIGINT have their default action: the process ends at once,
// without cleaning up; a later process recognises what it left by the missing lock. See signal(7), rt_sigaction(2).
import { type Pinned, pinForever } from "./mem.ts";
import { check, trySys } from "./sys.ts";

// struct kernel_sigaction { void *handler; unsigned long flags; void *restorer; __u64 mask; }: all zero is SIG_DFL.
const ACTION_BYTES = 32;
const MASK_BYTES = 8;
const defaultAction = pinForever(ACTION_BYTES);

interface Saved {
  readonly signal: number;
  readonly action: Pinned;
}

const [SIGINT, SIGTERM] = [2, 15];
const saved: readonly Saved[] = [SIGTERM, SIGINT].map((signal) => ({ signal, action: pinForever(ACTION_BYTES) }));
let depth = 0;

/**
 * Runs `work`, which must be synchronous, and returns its value; SIGTERM and SIGINT end the process meanwhile. For
 * workers only, before they have made anything: on an open file, attemptOn() does this only where the call may hang.
 */
export function mortal<Value>(work: () => Value): Value {
  if (depth++ === 0) {
    for (const { signal, action } of saved) {
      check(trySys("rt_sigaction", signal, defaultAction, action, MASK_BYTES), "rt_sigaction");
    }
  }
  try {
    return work();
  } finally {
    if (--depth === 0) {
      for (const { signal, action } of saved) {
        check(trySys("rt_sigaction", signal, action, 0, MASK_BYTES), "rt_sigaction");
      }
    }
  }
}
