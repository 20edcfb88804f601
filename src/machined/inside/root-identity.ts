// Which user of the host is a machine's root (user_namespaces(7)).

import type { Identity } from "../../kernel/process/namespace.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import * as uidMap from "../../registry/machine/uid-map.ts";

/** Root of this host. */
export const HOST_ROOT: Identity = { uid: 0, gid: 0 };

/**
 * Returns the identity under which the machine's own root acts on the host; null where its root is not mapped to a
 * user. It must be used instead of our own wherever the machine controls the target of a path.
 */
export function rootIdentity(machine: Machine): Identity | null {
  if (machine.isHost) return HOST_ROOT;
  const { leader } = machine;
  return leader.verified(() => uidMap.rootOutside(leader));
}

/** Whether root in the machine is, or may be, root of the host. */
export function isHostRootInside(machine: Machine): boolean {
  return machine.isHost || uidMap.isHostRootInside(machine.leader);
}
