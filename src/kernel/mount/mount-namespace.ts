// The way back out of a mount namespace that was entered: setns(2). While one is in there, /proc may be another's.
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
