// The details for polkit about a machine that an action works on.
import type { Grant } from "../../daemon/permission/access.ts";
import type { Machine } from "../../registry/machine/machine.ts";

/** Returns the grant of an action that works on a machine. The host has no owner but root. */
export function grantOn(machine: Machine, details: Readonly<Record<string, string>> = {}): Grant {
  const { isHost } = machine;
  return { subject: machine.name, isHost, details, ...(isHost ? {} : { ownerUid: machine.facts.uid }) };
}
