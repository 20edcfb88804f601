// Processes of other users where /proc is mounted with hidepid=: they run, but this user does not find them there.
import { errnoNameOf } from "../../base/error.ts";

/** Why data about processes of others is missing. */
export const PROC_HIDES = "/proc hides the processes of other users from this one";

/** Whether the process runs and /proc does not have it for this user. */
export function isHiddenProcess(pid: number): boolean {
  // Not imported: clients that print a list would load the module, too.
  const { existsSync } = process.getBuiltinModule("node:fs");
  if (pid <= 0 || existsSync(`/proc/${pid}`) || !existsSync("/proc/self")) return false;
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return errnoNameOf(error) === "EPERM";
  }
}
