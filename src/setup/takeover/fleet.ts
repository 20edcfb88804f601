// Replaces and stops the fleet's agent; only the administrator starts it.
import { processChildren } from "../../kernel/process/children.ts";
import type { Say } from "../apply.ts";
import { FLEET_SERVICE } from "../layout/fleet.ts";
import type { Run } from "../run-command.ts";
import { runningProgram } from "./machined.ts";

/**
 * Restarts an agent that executes a file which an installation has replaced. One that carries out requests, which would
 * end, continues. To be called after systemd has loaded the units.
 */
export function renewFleet(say: Say, command: Run): void {
  if (!runningProgram(command, FLEET_SERVICE).endsWith(" (deleted)")) return;
  const pid = Number(command("systemctl", "show", "--property=MainPID", "--value", FLEET_SERVICE).stdout);
  const words = ["systemctl", "try-restart", FLEET_SERVICE];
  if (processChildren(pid).length > 0)
    say(`${FLEET_SERVICE} carries out requests: it is replaced by '${words.join(" ")}', when they are done`);
  else if (command(...words).code === 0) say(`${FLEET_SERVICE} is restarted`);
  else say(`${FLEET_SERVICE} could not be restarted: see 'systemctl status ${FLEET_SERVICE}'`);
}

/**
 * Disables and stops the agent. To be called before its file is removed; otherwise the links of an enabled unit would
 * remain, and the agent would continue to run.
 */
export function stopFleet(command: Run): void {
  command("systemctl", "disable", FLEET_SERVICE);
  command("systemctl", "stop", FLEET_SERVICE);
}
