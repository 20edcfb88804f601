// Where the daemon keeps and serves things. MACHINED_RUNTIME_DIRECTORY moves all of it, for a run beside another daemon.
import { join } from "node:path";
import { runtimeDirectory } from "../ipc/runtime-directory.ts";

const base = runtimeDirectory();

export const PATHS = {
  runtime: base,
  machines: join(base, "machines"),
  /** D-Bus between two peers, for clients on hosts without a bus. */
  privateBus: join(base, "machine/private"),
  varlink: join(base, "machine/io.systemd.Machine"),
  varlinkImage: join(base, "machine/io.systemd.MachineImage"),
  userDatabase: join(base, "userdb/io.systemd.Machine"),
  names: join(base, "machine/names"),
  resolveHook: join(base, "resolve.hook/io.systemd.Machine"),
  /** A run of its own leaves the host's bus and service manager alone; it uses those it is shown, if any. */
  isPrivate: base !== "/run/systemd",
} as const;
