// Which processes a unit has: asked of the service manager, or read from the control group file system where no
// service manager answers (org.freedesktop.systemd1(5), GetUnitProcesses).
import { busLabelEscape } from "../../base/names.ts";
import type { UnitProcesses } from "../format/process-tree.ts";
import { isBusFailure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

const SYSTEMD = "org.freedesktop.systemd1";

const NOT_ANSWERED = ["UnknownMethod", "UnknownObject", "UnknownInterface", "ServiceUnknown", "NameHasNoOwner"].map(
  (name) => `org.freedesktop.DBus.Error.${name}`,
);

/** The object path of a unit. */
export function unitPath(unit: string): string {
  return `/org/freedesktop/systemd1/unit/${busLabelEscape(unit)}`;
}

/** The D-Bus interface that describes units of this one's type: `….Service` for `a.service`. */
export function unitInterface(unit: string): string {
  const type = unit.slice(unit.lastIndexOf(".") + 1);
  return `${SYSTEMD}.${type.charAt(0).toUpperCase()}${type.slice(1)}`;
}

async function askServiceManager(session: Session, unit: string): Promise<UnitProcesses | null> {
  const cgroup = String(await session.unitProperty(unitPath(unit), unitInterface(unit), "ControlGroup"));
  if (cgroup === "" && unit !== "-.slice") return null;
  const { processes } = await session.serviceManager("GetUnitProcesses", { name: unit });
  return { cgroup, list: processes.map(([path, pid, command]) => ({ cgroup: path, pid, command })) };
}

/** Whether an error means that no service manager of our kind is there, rather than that it refused. */
function nobodyAnswers(error: unknown): boolean {
  return !isBusFailure(error) || isBusFailure(error, ...NOT_ANSWERED);
}

/** The processes of a unit; null when it has no control group. Throws what kept them from being had. */
export async function unitProcesses(session: Session, unit: string, leader: number): Promise<UnitProcesses | null> {
  try {
    return await askServiceManager(session, unit);
  } catch (error) {
    if (!nobodyAnswers(error) || session.settings.transport.kind !== "local") throw error;
    return session.ports.localProcesses(unit, leader);
  }
}
