// Signals a child when its parent ends, from the child's start on: prctl(2), PR_SET_PDEATHSIG.
import { PR_SET_NAME, PR_SET_PDEATHSIG } from "../syscall/constants.ts";
import { scratchString } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";

/** The environment variable by which the parent passes the signal and its own process id. */
export const PARENT_VARIABLE = "MACHINED_PARENT";

/** Returns the value of PARENT_VARIABLE for a child of this process. */
export function parentVariable(signal: number): string {
  return `${signal}:${process.pid}`;
}

/**
 * Lets the kernel send the signal of `value` when the parent ends; exits with 1 where it has ended already. Sets the
 * name of the process in process lists to `name`, because the path that was executed, /proc/self/exe, has no useful
 * name.
 */
export function endWithParent(value: string, name: string): void {
  const [signal, parent] = value.split(":").map(Number);
  delete process.env[PARENT_VARIABLE];
  check(trySys("prctl", PR_SET_PDEATHSIG, signal ?? 0), "prctl");
  trySys("prctl", PR_SET_NAME, scratchString(name));
  if (process.ppid !== parent) process.exit(1);
}
