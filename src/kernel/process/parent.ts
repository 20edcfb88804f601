// A child that does not outlive its parent: prctl(2), PR_SET_PDEATHSIG.
import { PR_SET_NAME, PR_SET_PDEATHSIG } from "../syscall/constants.ts";
import { scratchString } from "../syscall/mem.ts";
import { check, trySys } from "../syscall/sys.ts";

/** What the parent leaves in the child's environment: the signal, and its own process id. */
export const PARENT_VARIABLE = "MACHINED_PARENT";

/** The value of PARENT_VARIABLE for a child of this process. */
export function parentVariable(signal: number): string {
  return `${signal}:${process.pid}`;
}

/**
 * Has the kernel send the signal when the parent dies; ends this process if it is too late for that. The process is called
 * `name` in process lists: it was started by a path that says nothing.
 */
export function endWithParent(value: string, name: string): void {
  const [signal, parent] = value.split(":").map(Number);
  delete process.env[PARENT_VARIABLE];
  check(trySys("prctl", PR_SET_PDEATHSIG, signal ?? 0), "prctl");
  trySys("prctl", PR_SET_NAME, scratchString(name));
  if (process.ppid !== parent) process.exit(1);
}
