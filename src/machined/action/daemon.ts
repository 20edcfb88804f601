// What an action may use: the registry, and the ways to the bus and to polkit. The service implements it.
import type { Authority } from "../../daemon/authority.ts";
import type { BusClient } from "../../ipc/bus/client.ts";
import type { Addresses } from "../../registry/machine/addresses.ts";
import type { Registry } from "../../registry/machine/registry.ts";
import type { Operations } from "../../registry/operation.ts";
import type { Log } from "../../registry/ports.ts";
import type { Enablement } from "./enablement.ts";

/** Who may register machines: root alone, as before 258; whoever polkit lets and owns the leader; the daemon's own user. */
export type RegisterPolicy = "root" | "polkit" | "self";

export interface Daemon {
  readonly registry: Registry;
  readonly addresses: Addresses;
  readonly operations: Operations;
  readonly log: Log;
  readonly enablement: Enablement;
  readonly registerPolicy: RegisterPolicy;
  /** The release of the host's systemd, by which the host's scripts know their programs; 0 where there is none. */
  readonly hostVersion: number;
  /** The system bus, or null while there is none. */
  bus(): BusClient | null;
  /** Polkit, or null while there is no bus to ask it on. */
  authority(): Authority | null;
}
