// The scope of a daemon, the system or one user, and what depends on it in both daemons.
import { existsSync } from "node:fs";
import { ErrnoError } from "../base/error.ts";

export type ScopeKind = "system" | "user";

type Environment = Readonly<Record<string, string | undefined>>;

/** Returns the user's runtime directory. Throws ENXIO where $XDG_RUNTIME_DIR is not set. */
export function userRuntimeDirectory(env: Environment = process.env): string {
  const runtime = env["XDG_RUNTIME_DIR"];
  if (runtime) return runtime;
  throw new ErrnoError("ENXIO", "$XDG_RUNTIME_DIR is not set: --user needs a session, or a lingering user");
}

/** Whether systemd is the service manager of this host (sd_booted(3)). */
export function isSystemdHost(): boolean {
  return existsSync("/run/systemd/system");
}

/** Whether the environment has the address of this scope's bus. */
export function isBusShown(kind: ScopeKind): boolean {
  return process.env[kind === "system" ? "DBUS_SYSTEM_BUS_ADDRESS" : "DBUS_SESSION_BUS_ADDRESS"] !== undefined;
}
