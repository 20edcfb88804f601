// The machines of the registry as targets of Prometheus.
import { errnoNameOf, MachinedError } from "../../base/error.ts";
import { formatAddress } from "../../base/ip-address.ts";
import { Turns } from "../../base/turns.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import { DEFAULT_PORT, parsePort, type TargetGroup, targetGroups } from "../../stats/targets.ts";
import type { Daemon } from "../action/daemon.ts";

/** Returns the port of a query; null for an invalid one. */
export function portOf(text: string | null): number | null {
  return text === null ? DEFAULT_PORT : parsePort(text);
}

/** How long the networks of machines are read before other callers have their turn. */
const SLICE_MS = 4;

/** Returns the targets. A machine that ends meanwhile is left out. */
export async function discoveredTargets(daemon: Daemon, port: number): Promise<TargetGroup[]> {
  const groups: TargetGroup[] = [];
  const turns = new Turns(SLICE_MS);
  for (const machine of Array.from(daemon.registry.list())) {
    if (machine.isHost || daemon.registry.find(machine.name) !== machine) continue;
    const { name, class: className, facts } = machine;
    const described = { name, class: className, service: facts.service, addresses: addressesOf(daemon, machine) };
    groups.push(...targetGroups([described], port));
    if (turns.isOver) await turns.pass();
  }
  return groups;
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
