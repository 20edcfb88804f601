// The unit of the fleet's agent (machined-fleet), and its place on a host. It is not enabled; the administrator enables
// it.
import { join } from "node:path";
import fleetService from "../../../install/systemd/machined-fleet.service" with { type: "text" };
import type { Wanted } from "../wanted.ts";

export const FLEET_SERVICE = "machined-fleet.service";
export const FLEET_UNIT = join("/etc/systemd/system", FLEET_SERVICE);

/** Returns the unit. */
export function fleetUnits(): Wanted[] {
  return [{ kind: "file", path: FLEET_UNIT, text: fleetService }];
}
