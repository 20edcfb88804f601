// Enters mount namespaces by setns(2), and returns from them. The descriptor of the former one must be opened before
// entering, because inside, /proc may be the machine's.
import type { Fd } from "../file/fd.ts";
import { openNamespace } from "../process/namespace.ts";
import { CLONE_NEWNS, EINVAL } from "../syscall/constants.ts";
import { check, trySys } from "../syscall/sys.ts";

const CLONE_FS = 0x200;
/** A thread that the engine starts in between shares root and working directory with this one. */
const ATTEMPTS = 100;

/** Opens the current mount namespace of this thread. */
export function currentMountNamespace(): Fd {
  return openNamespace("self", "mnt");
}

/**
 * Moves this thread into a mount namespace, also back into one that `currentMountNamespace()` returned. Only for
 * short-lived workers, and only synchronous calls may follow: the engine's other threads stay outside, and an
 * asynchronous read may run on one of them.
 */
export function moveToMountNamespace(namespace: Fd): void {
  for (let attempt = 1; ; attempt++) {
    // setns(2) refuses a thread that shares root and working directory with others.
    check(trySys("unshare", CLONE_FS), "unshare");
    const result = trySys("setns", namespace.number, CLONE_NEWNS);
    if (result !== EINVAL || attempt === ATTEMPTS) return void check(result, "setns");
  }
}
