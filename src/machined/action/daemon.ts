// What an action may use: the registry and the connections of the daemon. Built once, in main.ts.
import type { Access } from "../../api/access.ts";
import type { Authority } from "../../daemon/authority.ts";
import type { BusClient } from "../../ipc/bus/client.ts";
import type { Caller } from "../../ipc/caller.ts";
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
  /** Who decides about callers, or null while nobody can be asked. */
  authority(): Authority | null;
}

/** A call while an action carries it out, of either transport. */
export interface Call {
  readonly transport: "bus" | "varlink";
  /** Who may call the method, as its row says. */
  readonly access: Access;
  readonly interactive: boolean;
  caller(): Promise<Caller>;
  onGone(handler: () => void): () => void;
}
