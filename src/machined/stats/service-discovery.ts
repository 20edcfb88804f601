// The machines of the registry as targets of Prometheus.
import { errnoNameOf, MachinedError } from "../../base/error.ts";
import { formatAddress } from "../../base/ip-address.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { DEFAULT_PORT, parsePort, type TargetGroup, targetGroups } from "../../stats/targets.ts";
import type { Daemon } from "../action/daemon.ts";

/** Returns the port of a query; null for an invalid one. */
export function portOf(text: string | null): number | null {
  return text === null ? DEFAULT_PORT : parsePort(text);
}

export function discoveredTargets(daemon: Daemon, port: number): TargetGroup[] {
  const machines = Array.from(daemon.registry.list()).filter((machine) => !machine.isHost);
  const described = machines.map((machine) => ({
    name: machine.name,
    class: machine.class,
    service: machine.facts.service,
    addresses: addressesOf(daemon, machine),
  }));
  return targetGroups(described, port);
}

/**
 * Returns the addresses of a machine; none where they cannot be known (a virtual machine, one in the host's network).
 */
function addressesOf(daemon: Daemon, machine: Machine): string[] {
  try {
    return daemon.addresses.of(machine).map(({ bytes }) => formatAddress(bytes));
  } catch (error) {
    if (error instanceof MachinedError || errnoNameOf(error) !== null) return [];
    throw error;
  }
}
