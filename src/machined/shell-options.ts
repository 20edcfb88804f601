// How the service is set up for its scope: with which service manager, and with which options of the service shell.
import { MACHINE1_NAME } from "../api/machine1.ts";
import { isBusShown, isSystemdHost } from "../daemon/scope.ts";
import type { ShellOptions } from "../daemon/service-shell.ts";
import type { Scope } from "./scope.ts";

/** Whether machines are in units of systemd; MACHINED_SERVICE_MANAGER ("systemd" or "own") overrides the detection. */
export function usesServiceManager(scope: Scope): boolean {
  const wanted = process.env["MACHINED_SERVICE_MANAGER"];
  if (wanted === "systemd" || wanted === "own") return wanted === "systemd";
  return !scope.isPrivate && isSystemdHost();
}

/** Returns the options of the service shell for a scope. */
export function shellOptions(scope: Scope, usesSystemd: boolean): ShellOptions {
  return {
    identifier: "systemd-machined",
    facility: "auth",
    busName: MACHINE1_NAME,
    bus: scope.bus,
    busNeed: busNeed(scope, usesSystemd),
    lock: scope.lock,
    privateBus: scope.privateBus,
    // A user's daemon ends when it is idle, and is started again on demand; the host's daemon keeps running.
    isActivatable: scope.kind === "user",
  };
}

/**
 * Returns whether the daemon needs a bus: systemd is called over the bus; without systemd the daemon's own sockets are
 * enough.
 */
function busNeed(scope: Scope, usesSystemd: boolean): ShellOptions["busNeed"] {
  if (usesSystemd) return "required";
  return scope.isPrivate && !isBusShown(scope.kind) ? "none" : "optional";
}
