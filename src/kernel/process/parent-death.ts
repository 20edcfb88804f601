// Ending with the parent process: prctl(2), PR_SET_PDEATHSIG.
import { PR_SET_PDEATHSIG } from "../syscall/constants.ts";
import { sys } from "../syscall/sys.ts";

const SIGKILL = 9;

/** From now on this process is killed when the one that started it ends, however that ends. */
export function dieWithParent(): void {
  sys("prctl", PR_SET_PDEATHSIG, SIGKILL);
}
