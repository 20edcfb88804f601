// Stops the fleet's agent; only the administrator starts it.
import { FLEET_SERVICE } from "../layout/fleet.ts";
import type { Run } from "../run-command.ts";

/**
 * Disables and stops the agent. To be called before its file is removed; otherwise the links of an enabled unit would
 * remain, and the agent would continue to run.
 */
export function stopFleet(command: Run): void {
  command("systemctl", "disable", FLEET_SERVICE);
  command("systemctl", "stop", FLEET_SERVICE);
}
