// The permission to open a terminal in a machine, for both transports and all kinds of terminals.
//
// The owner of a machine needs no permission where it could enter without this daemon, because it created the user
// namespace of the machine. A user can also register a process that shares the host's user namespace, and "root in the
// machine" would then be root of the host; or one in another container, which that user cannot enter.
import type { TERMINAL_RULES } from "../../api/shared-rules.ts";
import { MachinedError } from "../../base/error.ts";
import type { Grant } from "../../daemon/permission/access.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { mayEnter } from "../../registry/machine/uid-map.ts";
import { isHostRootInside } from "./root-identity.ts";

/** Returns the grant of an action that opens a terminal in a machine; `kind` is what runs on the terminal. */
export function grantToOpen(
  machine: Machine,
  kind: keyof typeof TERMINAL_RULES,
  details: Readonly<Record<string, string>> = {},
): Grant {
  const { name, isHost, facts, leader } = machine;
  const grant: Grant = { subject: name, isHost, variant: kind, details };
  return isHost || !mayEnter(facts.uid, leader) ? grant : { ...grant, ownerUid: facts.uid };
}

/**
 * Throws AccessDenied where another user's machine has the host's root as its root. This applies to root as a caller,
 * too: the owner of the machine controls what a program started in it does. A user's own daemon is not root and passes
 * on no privileges.
 */
export function refuseForeignHostRoot(machine: Machine): void {
  if (machine.isHost || machine.facts.uid === 0 || process.geteuid?.() !== 0 || !isHostRootInside(machine)) return;
  throw new MachinedError("AccessDenied", "Only root may shell into the root user namespace");
}
