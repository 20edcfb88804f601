// Protects this process from inspection by others: PR_SET_DUMPABLE of prctl(2), which also controls ptrace(2) and
// access to /proc/PID.
import { PR_SET_DUMPABLE } from "../syscall/constants.ts";
import { sys } from "../syscall/sys.ts";

/**
 * From now on only processes with CAP_SYS_PTRACE may trace this one, or open its executable, memory and descriptors
 * through /proc. execve(2) ends the protection.
 */
export function forbidInspection(): void {
  sys("prctl", PR_SET_DUMPABLE, 0);
}
