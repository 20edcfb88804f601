// The facts that the checks of one machine need. Types only.
import type { MachineFacts } from "../machine/details.ts";
import type { UnitFacts } from "./host-facts.ts";

/** The image with the machine's name. */
export interface ImageFacts {
  readonly name: string;
  readonly type: string;
  readonly isReadOnly: boolean;
}

/** The machine's network. */
export interface NetworkFacts {
  /** Whether it has a network namespace of its own, as virtual machines always do. */
  readonly isPrivate: boolean;
  /** Names of the host's interfaces that lead to the machine. */
  readonly hostInterfaces: readonly string[];
  /** Its addresses without loopback and link-local ones. */
  readonly addresses: readonly string[];
}

/** All facts that the checks of one machine need. */
export interface MachineCheckFacts {
  readonly machine: MachineFacts;
  /** The process name of its leader: `systemd`, `init`, … */
  readonly leader: string;
  readonly image: ImageFacts | null;
  /** Delegate= of its unit; null if it has none. */
  readonly delegates: boolean | null;
  /** Whether its leader has a cgroup namespace of its own; null if the caller may not look. */
  readonly ownGroups: boolean | null;
  readonly network: NetworkFacts;
  readonly hostNetworkd: UnitFacts;
  /** The state of systemd-networkd in the machine: `active`, `inactive`, …; null if it cannot be queried. */
  readonly ownNetworkd: { readonly active: string; readonly enabled: string } | null;
  /** The addresses that this host's C library finds for its name. */
  readonly lookup: readonly string[];
  readonly hasBus: boolean;
}
