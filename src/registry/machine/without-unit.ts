// Machines whose leader is in no unit of the service manager, such as containers of lxc(7). They are in a control group
// of their own, which is found from the leader whenever it is needed, since nothing about it is saved.
import { errnoNameOf } from "../../base/error.ts";
import { unitOfCgroup } from "../../base/names.ts";
import { cgroupOfProcess, killCgroupInTurns } from "../../kernel/cgroup/cgroup.ts";
import type { PidRef } from "../../kernel/process/pidref.ts";

/** The group below its own into which systemd moves itself, as the leader of a container. */
const INIT_GROUP = /\/init\.scope$/;

/**
 * Returns the path of the control group that the leader's machine has for itself. Returns null where the leader is in a
 * unit, and where the group is not the machine's alone: the root group, or a slice. Throws `ESRCH` for a leader that
 * has ended.
 */
export function cgroupWithoutUnit(leader: PidRef): string | null {
  const path = leader.verified(() => cgroupOfProcess(leader.pid)).replace(INIT_GROUP, "");
  const isShared = path === "" || path === "/" || path.endsWith(".slice") || unitOfCgroup(path) !== null;
  return isShared ? null : path;
}

/** Sends a signal to all processes of the machine, or to the leader alone where they cannot be told from others. */
export async function killWithoutUnit(leader: PidRef, signal: number): Promise<void> {
  try {
    const cgroup = cgroupWithoutUnit(leader);
    if (cgroup === null) leader.kill(signal);
    else await killCgroupInTurns(cgroup, signal);
  } catch (error) {
    if (errnoNameOf(error) !== "ESRCH") throw error;
  }
}
