// What a daemon serves: the whole host, or one user (systemd-machined.service(8), "--user"). Where it keeps and serves
// things follows from that; MACHINED_RUNTIME_DIRECTORY moves all of it, for a run beside another daemon.
import { join } from "node:path";
import { ErrnoError } from "../base/error.ts";
import type { BusTarget } from "../ipc/bus/transport.ts";
import { runtimeDirectory } from "../ipc/runtime-directory.ts";
import { type ImageLayout, SYSTEM_LAYOUT, userLayout } from "../registry/image/layout.ts";

export interface Scope {
  readonly kind: "system" | "user";
  readonly bus: BusTarget;
  /** State files of machines. */
  readonly machines: string;
  /** Held by the daemon that serves here. */
  readonly lock: string;
  /** D-Bus between two peers, for clients on hosts without a bus. */
  readonly privateBus: string;
  /** Varlink; the second path is the same service under its older name. */
  readonly varlink: readonly string[];
  /** What only the whole host has: users and names of machines for everyone. */
  readonly userDatabase: string | null;
  readonly resolveHook: string | null;
  readonly names: string | null;
  readonly socketMode: number;
  readonly images: ImageLayout;
  /** A run of its own leaves the host's bus and service manager alone; it uses those it is shown, if any. */
  readonly isPrivate: boolean;
}

function serviceSockets(base: string): Pick<Scope, "machines" | "lock" | "privateBus" | "varlink"> {
  return {
    machines: join(base, "machines"),
    lock: join(base, "machine/lock"),
    privateBus: join(base, "machine/private"),
    varlink: [join(base, "machine/io.systemd.Machine"), join(base, "machine/io.systemd.MachineImage")],
  };
}

/** The whole host. */
export function systemScope(): Scope {
  const base = runtimeDirectory();
  return {
    kind: "system",
    bus: { kind: "system" },
    ...serviceSockets(base),
    userDatabase: join(base, "userdb/io.systemd.Machine"),
    resolveHook: join(base, "resolve.hook/io.systemd.Machine"),
    names: join(base, "machine/names"),
    socketMode: 0o666,
    images: SYSTEM_LAYOUT,
    isPrivate: base !== "/run/systemd",
  };
}

/** The user this runs as. Throws an error with errno where the user has no runtime directory. */
export function userScope(): Scope {
  const runtime = process.env["XDG_RUNTIME_DIR"];
  if (!runtime) {
    throw new ErrnoError("ENXIO", "$XDG_RUNTIME_DIR is not set: --user needs a session, or a lingering user");
  }
  const moved = process.env["MACHINED_RUNTIME_DIRECTORY"];
  return {
    kind: "user",
    bus: { kind: "user" },
    ...serviceSockets(moved || join(runtime, "systemd")),
    userDatabase: null,
    resolveHook: null,
    names: null,
    socketMode: 0o600,
    images: userLayout(runtime),
    isPrivate: Boolean(moved),
  };
}
