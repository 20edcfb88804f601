// How the agent for a NATS server is ended; it is the administrator who starts it.
import { FLEET_SERVICE } from "./fleet-layout.ts";
import type { Run } from "./takeover.ts";

/** Before the file goes: what was enabled would be left as a link to nothing, and what runs would run on. */
export function stopFleet(command: Run): void {
  command("systemctl", "disable", FLEET_SERVICE);
  command("systemctl", "stop", FLEET_SERVICE);
}
