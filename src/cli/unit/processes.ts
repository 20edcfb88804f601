// Lists the processes of a unit: by a call of the service manager (org.freedesktop.systemd1(5), GetUnitProcesses), or
// where none runs, from the control group file system.

import { busLabelEscape } from "../../base/names.ts";
import { SYSTEMD1_NAME, SYSTEMD1_PATH } from "../../base/vocabulary/bus-peers.ts";
import type { UnitProcesses } from "../format/process-tree.ts";
import { isBusFailure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

/** D-Bus errors that mean that no service manager runs, or one without the call. */
const NO_SERVICE_MANAGER = [
  "UnknownMethod",
  "UnknownObject",
  "UnknownInterface",
  "ServiceUnknown",
  "NameHasNoOwner",
].map((name) => `org.freedesktop.DBus.Error.${name}`);

/** Returns the object path of a unit. */
export function unitPath(unit: string): string {
  return `${SYSTEMD1_PATH}/unit/${busLabelEscape(unit)}`;
}

/** Returns the D-Bus interface for the unit's type: `org.freedesktop.systemd1.Service` for `a.service`. */
export function unitInterface(unit: string): string {
  const type = unit.slice(unit.lastIndexOf(".") + 1);
  return `${SYSTEMD1_NAME}.${type.charAt(0).toUpperCase()}${type.slice(1)}`;
}

async function queryServiceManager(session: Session, unit: string): Promise<UnitProcesses | null> {
  const cgroup = String(await session.unitProperty(unitPath(unit), unitInterface(unit), "ControlGroup"));
  if (cgroup === "" && unit !== "-.slice") return null;
  const { processes } = await session.serviceManager("GetUnitProcesses", { name: unit });
  return { cgroup, list: processes.map(([path, pid, command]) => ({ cgroup: path, pid, command })) };
}

/** Whether an error means that no service manager with this call can be reached, and not that it refused the call. */
function meansNoServiceManager(error: unknown): boolean {
  return !isBusFailure(error) || isBusFailure(error, ...NO_SERVICE_MANAGER);
}

/**
 * Returns the processes of a unit; null if it has no control group. `leader` is the machine's leader, for hosts without
 * a service manager. Throws error replies, and errors with an errno.
 */
export async function unitProcesses(session: Session, unit: string, leader: number): Promise<UnitProcesses | null> {
  try {
    return await queryServiceManager(session, unit);
  } catch (error) {
    if (!meansNoServiceManager(error) || session.settings.transport.kind !== "local") throw error;
    return session.ports.localProcesses(unit, leader);
  }
}
