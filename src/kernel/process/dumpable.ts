// Whether other processes may look into this one: PR_SET_DUMPABLE of prctl(2), which also decides over ptrace(2) and the
// links of /proc/PID.
import { sys } from "../syscall/sys.ts";

const PR_SET_DUMPABLE = 4;

/**
 * From now on nobody but those with privileges over all processes may attach to this one, or open its executable, memory
 * and descriptors through /proc. Children that execute a program are ordinary again.
 */
export function forbidInspection(): void {
  sys("prctl", PR_SET_DUMPABLE, 0);
}
