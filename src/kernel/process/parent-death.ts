// Ends this process with its parent: prctl(2), PR_SET_PDEATHSIG.
import { PR_SET_PDEATHSIG } from "../syscall/constants.ts";
import { sys } from "../syscall/sys.ts";

const SIGKILL = 9;

/** From now on the kernel kills this process when its parent ends. */
export function dieWithParent(): void {
  sys("prctl", PR_SET_PDEATHSIG, SIGKILL);
}
