// Service discovery for Prometheus: machines as targets, in the form of http_sd and file_sd
// (https://prometheus.io/docs/prometheus/latest/http_sd/).

/** The port of the node exporter. */
export const DEFAULT_PORT = 9100;

interface TargetMachine {
  readonly name: string;
  readonly class: string;
  readonly service: string;
  /** Addresses as text, IPv4 before IPv6, in the order of scopes. */
  readonly addresses: readonly string[];
}

export interface TargetGroup {
  readonly targets: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
}

/** Link-local IPv6 addresses. They cannot be targets, because they are valid only together with an interface. */
const LINK_LOCAL_IPV6 = /^fe[89ab][0-9a-f]:/i;
const LINK_LOCAL_IPV4 = /^169\.254\./;

/**
 * Returns the address at which other hosts reach a machine: routed before link-local, IPv4 before IPv6; null where
 * there is none.
 */
export function reachableAddress(addresses: readonly string[]): string | null {
  const usable = addresses.filter((address) => !LINK_LOCAL_IPV6.test(address));
  return usable.find((address) => !LINK_LOCAL_IPV4.test(address)) ?? usable[0] ?? null;
}

/** Returns a target for each machine that has an address. */
export function targetGroups(machines: readonly TargetMachine[], port: number): TargetGroup[] {
  return machines.flatMap(({ name, class: className, service, addresses }) => {
    const address = reachableAddress(addresses);
    if (address === null) return [];
    const host = address.includes(":") ? `[${address}]` : address;
    return [{ targets: [`${host}:${port}`], labels: { machine: name, class: className, service } }];
  });
}

/** Returns the port that a text is; null for any other text. */
export function parsePort(text: string): number | null {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : 0;
  return port >= 1 && port <= 65_535 ? port : null;
}
