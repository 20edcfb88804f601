// Returns from an entered mount namespace by setns(2). The descriptor of the former one must be opened before entering,
// because inside, /proc may be the machine's.
import type { Fd } from "../file/fd.ts";
import { openNamespace } from "../process/namespace.ts";
import { CLONE_NEWNS } from "../syscall/constants.ts";
import { check, trySys } from "../syscall/sys.ts";

/** Opens the current mount namespace of this thread. */
export function currentMountNamespace(): Fd {
  return openNamespace("self", "mnt");
}

/** Moves this thread back into a mount namespace that `currentMountNamespace()` returned. */
export function returnToMountNamespace(namespace: Fd): void {
  check(trySys("setns", namespace.number, CLONE_NEWNS), "setns");
}
