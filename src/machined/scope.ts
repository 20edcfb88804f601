// The paths of a daemon that serves the whole host, or one user (systemd-machined.service(8), "--user").
// MACHINED_RUNTIME_DIRECTORY moves its sockets and state, for a run beside another daemon.
import { join } from "node:path";
import { type ScopeKind, userRuntimeDirectory } from "../daemon/scope.ts";
import type { BusTarget } from "../ipc/bus/transport.ts";
import { runtimeDirectory } from "../ipc/runtime-directory.ts";
import { type ImageLayout, SYSTEM_LAYOUT, userLayout } from "../registry/image/layout.ts";
import { MACHINE_SLICE, sliceOf } from "./machines/own-cgroups.ts";

export interface Scope {
  readonly kind: ScopeKind;
  readonly bus: BusTarget;
  /** State files of machines. */
  readonly machines: string;
  /** The lock of the daemon that serves this scope. */
  readonly lock: string;
  /** The log of events, for the next daemon. */
  readonly events: string;
  /** D-Bus between two peers, for clients on hosts without a bus. */
  readonly privateBus: string;
  /** Varlink; the second path is the same service under its older name. */
  readonly varlink: readonly string[];
  /** HTTP: metrics for Prometheus. */
  readonly metrics: string;
  /** The sockets that only the daemon of the whole host has: users and names of machines. */
  readonly userDatabase: string | null;
  readonly resolveHook: string | null;
  readonly names: string | null;
  readonly socketMode: number;
  /** The cgroup of machines' scopes where systemd is not the service manager. */
  readonly slice: string;
  readonly images: ImageLayout;
  /**
   * Whether this runs beside the host's daemon: it uses no service manager, and a bus only where the environment names
   * one.
   */
  readonly isPrivate: boolean;
}

function serviceSockets(
  base: string,
): Pick<Scope, "machines" | "lock" | "events" | "privateBus" | "varlink" | "metrics"> {
  return {
    machines: join(base, "machines"),
    lock: join(base, "machine/lock"),
    events: join(base, "machine/events"),
    privateBus: join(base, "machine/private"),
    varlink: [join(base, "machine/io.systemd.Machine"), join(base, "machine/io.systemd.MachineImage")],
    metrics: join(base, "machine/metrics"),
  };
}

/** Returns the scope of the whole host. */
export function systemScope(): Scope {
  const base = runtimeDirectory();
  const isPrivate = base !== "/run/systemd";
  return {
    kind: "system",
    bus: { kind: "system" },
    ...serviceSockets(base),
    userDatabase: join(base, "userdb/io.systemd.Machine"),
    resolveHook: join(base, "resolve.hook/io.systemd.Machine"),
    names: join(base, "machine/names"),
    socketMode: 0o666,
    slice: isPrivate ? sliceOf(base) : MACHINE_SLICE,
    images: SYSTEM_LAYOUT,
    isPrivate,
  };
}

/** Returns the scope of this process's user. Throws an error with errno where the user has no runtime directory. */
export function userScope(): Scope {
  const runtime = userRuntimeDirectory();
  const moved = process.env["MACHINED_RUNTIME_DIRECTORY"];
  const base = moved || join(runtime, "systemd");
  return {
    kind: "user",
    bus: { kind: "user" },
    ...serviceSockets(base),
    userDatabase: null,
    resolveHook: null,
    names: null,
    socketMode: 0o600,
    slice: sliceOf(base),
    images: userLayout(runtime),
    isPrivate: Boolean(moved),
  };
}
