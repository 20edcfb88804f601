// What of the agent for a NATS server goes where on a host. It is not enabled: the administrator does that.
import { join } from "node:path";
import fleetService from "../../install/systemd/machined-fleet.service" with { type: "text" };
import type { Wanted } from "./wanted.ts";

export const FLEET_SERVICE = "machined-fleet.service";
export const FLEET_UNIT = join("/etc/systemd/system", FLEET_SERVICE);

export function fleetUnits(): Wanted[] {
  return [{ kind: "file", path: FLEET_UNIT, text: fleetService }];
}
