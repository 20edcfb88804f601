// Whether other processes may look into this one: PR_SET_DUMPABLE of prctl(2), which also decides over ptrace(2) and the
// links of /proc/PID.
import { PR_SET_DUMPABLE } from "../syscall/constants.ts";
import { sys } from "../syscall/sys.ts";

/**
 * From now on nobody but those with privileges over all processes may attach to this one, or open its executable, memory
 * and descriptors through /proc. Children that execute a program are ordinary again.
 */
export function forbidInspection(): void {
  sys("prctl", PR_SET_DUMPABLE, 0);
}
