// Closes a descriptor whose close(2) may block, in a process that shares our table of descriptors (syscall/apart.ts).
// close(2) first takes the descriptor out of the table, and then waits for the file system: a program that is started
// from then on gets no copy of it, and this process can exit, for which it would have to wait for its threads.
import { CallApart } from "../syscall/apart.ts";
import { EBADF } from "../syscall/constants.ts";
import { trySys } from "../syscall/sys.ts";

const F_GETFD = 1;
/** How often the processor is given to others until the descriptor has left the table: never reached. */
const YIELDS = 100_000;

/**
 * Closes the descriptor `number`, which has left the table when this returns. Returns a function that says whether it
 * is closed, to be called until then; null where no process could be started, and the descriptor is still open.
 */
export function closeApart(number: number): (() => boolean) | null {
  const call = CallApart.begin("close", number);
  if (call === null) return null;
  for (let i = 0; i < YIELDS && trySys("fcntl", number, F_GETFD) !== EBADF; i++) trySys("sched_yield");
  return () => call.hasEnded();
}
