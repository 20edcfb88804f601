// What is known about one machine, for the checks of `doctor NAME`. Values only.
import type { MachineFacts } from "../machine/details.ts";
import type { UnitFacts } from "./host-facts.ts";

export interface ImageFacts {
  readonly name: string;
  readonly type: string;
  readonly isReadOnly: boolean;
}

export interface NetworkFacts {
  /** It has a network namespace of its own. */
  readonly isPrivate: boolean;
  /** The host's interfaces that lead to it. */
  readonly hostInterfaces: readonly string[];
  /** Addresses that others can reach. */
  readonly addresses: readonly string[];
}

/** Everything that the checks of one machine need. */
export interface MachineCheckFacts {
  readonly machine: MachineFacts;
  /** The name of its leader: `systemd`, `init`, … */
  readonly leader: string;
  readonly image: ImageFacts | null;
  /** Null where it has no unit. */
  readonly delegates: boolean | null;
  readonly network: NetworkFacts;
  readonly hostNetworkd: UnitFacts;
  /** The state of systemd-networkd in the machine: `active`, `inactive`, …; null where nothing there can say. */
  readonly ownNetworkd: { readonly active: string; readonly enabled: string } | null;
  /** The addresses that this host's C library has for its name. */
  readonly lookup: readonly string[];
  readonly hasBus: boolean;
}
