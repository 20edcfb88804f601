// The parts of the daemon that an action may use: the registry, the bus, polkit. The service implements it.
import type { Authority } from "../../daemon/permission/authority.ts";
import type { BusClient } from "../../ipc/bus/client.ts";
import type { Addresses } from "../../registry/machine/addresses.ts";
import type { Registry } from "../../registry/machine/registry.ts";
import type { Operations } from "../../registry/operation.ts";
import type { Log } from "../../registry/ports.ts";
import type { Enablement } from "./enablement.ts";

/**
 * Who may register machines: `root` only, as before 258; with `polkit`, users that own the leader and have the
 * permission; with `self`, the daemon's own user.
 */
export type RegisterPolicy = "root" | "polkit" | "self";

export interface Daemon {
  readonly registry: Registry;
  readonly addresses: Addresses;
  readonly operations: Operations;
  readonly log: Log;
  readonly enablement: Enablement;
  readonly registerPolicy: RegisterPolicy;
  /** The release of the host's systemd, whose behaviour the scripts of the host expect; 0 where there is none. */
  readonly hostVersion: number;
  /** Returns the system bus, or null while there is none. */
  bus(): BusClient | null;
  /** Returns polkit, or null while there is no bus. */
  authority(): Authority | null;
}
