// Leaving a mount namespace that this thread has entered, by setns(2) with a descriptor of the former one that was opened
// before: inside, /proc may be the machine's.
import type { Fd } from "../file/fd.ts";
import { openNamespace } from "../process/namespace.ts";
import { CLONE_NEWNS } from "../syscall/constants.ts";
import { check, trySys } from "../syscall/sys.ts";

/** The mount namespace this thread is in now. */
export function currentMountNamespace(): Fd {
  return openNamespace("self", "mnt");
}

/** Moves this thread, which has entered another, back into a mount namespace. */
export function returnToMountNamespace(namespace: Fd): void {
  check(trySys("setns", namespace.number, CLONE_NEWNS), "setns");
}
