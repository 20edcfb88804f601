// Queries the properties of a machine's D-Bus object.
import { attempt } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

export type Properties = Awaited<ReturnType<Session["properties"]>>;

/** Returns the properties of a machine's D-Bus object. Throws a Failure. */
export async function machineProperties(session: Session, name: string): Promise<Properties> {
  const { machine } = await attempt("Could not get path to machine", () => session.manager("GetMachine", { name }));
  return attempt("Could not get properties", () => session.properties(machine));
}
