// Calls that the kernel may never finish, because a file system does not answer, in a program that ends on signals by
// code of its own. That code cannot run while the call waits, and a call to FUSE or NFS is given up for nothing less than
// a signal that kills. So for the time of such a call SIGTERM and SIGINT have their default effect: the process ends at
// once, without cleaning up, and what it leaves is found by its missing lock. See signal(7), rt_sigaction(2).
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

/** Runs `work`, which is synchronous; SIGTERM and SIGINT end the process meanwhile. For programs that run alone. */
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
