// Whether all processes that end with a machine are its owner's to end.
//
// A user may register any process of that user, and it may be in a unit of others: a job of cron(8) is in the unit of
// cron, and a process of a container without a user namespace, whose number is that of the user, in the container's.
// Ending such a machine ends the unit, so that its registration must not give the permission.
import { errnoNameOf } from "../../base/error.ts";
import { cgroupOwner } from "../../kernel/cgroup/cgroup.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { cgroupWithoutUnit } from "../../registry/machine/without-unit.ts";
import type { Daemon } from "../action/daemon.ts";

/**
 * Returns true for a scope that was made for the machine, a unit in the user's own slice (sessions, the user's
 * manager), and a group that was delegated to the user, who can kill all of its processes by cgroup.kill.
 */
export function isUnitOfOwner({ hostVersion }: Pick<Daemon, "hostVersion">, machine: Machine): boolean {
  const { place, ownsUnit } = machine;
  const { uid, leader } = machine.facts;
  if (uid === 0 || ownsUnit) return true;
  try {
    const cgroup = place === null ? cgroupWithoutUnit(leader) : place.cgroup;
    // The leader alone is ended.
    if (cgroup === null) return true;
    // Where there is no systemd, the leader and its descendants are ended.
    if (cgroup === "") return hostVersion === 0;
    return cgroup.startsWith(`/user.slice/user-${uid}.slice/`) || cgroupOwner(cgroup) === uid;
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    return false;
  }
}
