// Queries the properties of a machine's D-Bus object.
import { MACHINE_PATH } from "../../api/machine1.ts";
import { busLabelEscape } from "../../base/names.ts";
import { objectProperties, type Properties } from "../session/object-properties.ts";
import type { Session } from "../session/session.ts";

/** Returns the properties of a machine's D-Bus object. Throws a Failure. */
export function machineProperties(session: Session, name: string): Promise<Properties> {
  return objectProperties(session, {
    expected: `${MACHINE_PATH}/${busLabelEscape(name)}`,
    attempted: "Could not get path to machine",
    find: async () => (await session.manager("GetMachine", { name })).machine,
  });
}
