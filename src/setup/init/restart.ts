// How the administrator of a host whose init is not systemd starts an installed service again.
import { Host } from "../host.ts";
import type { Command } from "./init.ts";
import { initOn } from "./inits.ts";
import { SERVICES, type ServiceName } from "./services.ts";

/**
 * Returns the command that starts a service of this host again; null with systemd, and where the service is not
 * installed.
 */
export function restartCommand(name: ServiceName, host = new Host()): Command | null {
  const init = initOn(host);
  const service = SERVICES.find((one) => one.name === name);
  if (init === null || service === undefined) return null;
  const [first] = init.files(service, host.has);
  return first !== undefined && host.has(first.path) ? init.restart(service) : null;
}
