// What a daemon serves, the whole host or one user, and what follows from that for both daemons.
import { existsSync } from "node:fs";
import { ErrnoError } from "../base/error.ts";

export type ScopeKind = "system" | "user";

type Environment = Readonly<Record<string, string | undefined>>;

/** The user's runtime directory. Throws an error with errno where the user has none. */
export function userRuntimeDirectory(env: Environment = process.env): string {
  const runtime = env["XDG_RUNTIME_DIR"];
  if (runtime) return runtime;
  throw new ErrnoError("ENXIO", "$XDG_RUNTIME_DIR is not set: --user needs a session, or a lingering user");
}

/** Whether systemd is the service manager of this host (sd_booted(3)). */
export function isSystemdHost(): boolean {
  return existsSync("/run/systemd/system");
}

/** Whether the environment names the bus of this scope. */
export function isBusShown(kind: ScopeKind): boolean {
  return process.env[kind === "system" ? "DBUS_SYSTEM_BUS_ADDRESS" : "DBUS_SESSION_BUS_ADDRESS"] !== undefined;
}
