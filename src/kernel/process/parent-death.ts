// Ending with whoever started us: prctl(2), PR_SET_PDEATHSIG.
import { sys } from "../syscall/sys.ts";

const PR_SET_PDEATHSIG = 1;
const SIGKILL = 9;

/** From now on this process is killed when the one that started it ends, however that ends. */
export function dieWithParent(): void {
  sys("prctl", PR_SET_PDEATHSIG, SIGKILL);
}
