// The addresses of a machine's name, for systemd-resolved and for the C library's module.
//
// Only machines that root or the daemon's own user registered are resolved: another user could otherwise take any name.
// The addresses of a container are those in its network namespace; those of a virtual machine come from the host's
// neighbour table of its interfaces.
import type { LocalAddress } from "../../kernel/socket/netlink.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { Daemon } from "../action/daemon.ts";
import { neighbourAddresses } from "./vm-addresses.ts";

export interface NamedAddresses {
  /** The host's interface to the machine, where there is exactly one: link-local addresses need it. */
  readonly ifindex: number | null;
  /** Empty where the machine has none at the moment. */
  readonly addresses: readonly LocalAddress[];
}

/** Whether the machine's name is resolved on this host. */
export function isResolvable(machine: Machine): boolean {
  return !machine.isHost && (machine.facts.uid === 0 || machine.facts.uid === process.geteuid?.());
}

/**
 * Returns the addresses of the machine of that name; null where there is no such machine. Throws NoPrivateNetworking
 * for a container in the host's network, and an error with errno where the leader has ended.
 */
export function addressesForName(daemon: Daemon, name: string): NamedAddresses | null {
  const machine = daemon.registry.find(name);
  if (machine === null || !isResolvable(machine)) return null;
  const { networkInterfaces } = machine.facts;
  const addresses = machine.class === "vm" ? neighbourAddresses(networkInterfaces) : daemon.addresses.of(machine);
  return { addresses, ifindex: networkInterfaces.length === 1 ? (networkInterfaces[0] ?? null) : null };
}
