// Who may get a terminal in a machine. The one place that decides it, for both transports and all ways in.
//
// A machine's owner is let in without a question, because it could enter by itself: it made the user namespace that the
// machine lives in. That holds only while the machine's root is somebody less than the host's. A process of the owner's
// that shares our user namespace can be registered as a machine too, and "root in the machine" would then be root here.
import { MachinedError } from "../../base/error.ts";
import type { Permission } from "../../daemon/polkit.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { isHostRootInside } from "./root-identity.ts";

/** What is opened, as polkit's actions call it; for the host each has an action of its own. */
export type Door = "open-pty" | "login" | "shell";

/** The permission to open a terminal in a machine. */
export function permissionToOpen(
  machine: Machine,
  door: Door,
  details: Readonly<Record<string, string>> = {},
): Permission {
  const permission = {
    action: `org.freedesktop.machine1.${machine.isHost ? "host-" : ""}${door}`,
    details: { machine: machine.name, ...details },
  };
  return isHostRootInside(machine) ? permission : { ...permission, ownerUid: machine.facts.uid };
}

/**
 * Refuses everybody, root included: whoever owns the machine decides what a program started in it does. A user's own
 * daemon is not root here and can give nobody what it has not.
 */
export function refuseForeignHostRoot(machine: Machine): void {
  if (machine.isHost || machine.facts.uid === 0 || process.geteuid?.() !== 0 || !isHostRootInside(machine)) return;
  throw new MachinedError("AccessDenied", "Only root may shell into the root user namespace");
}
