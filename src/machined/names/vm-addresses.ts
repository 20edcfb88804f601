// Addresses of virtual machines, whose network namespaces the host cannot enter. They come from the host's neighbour
// table, which has the addresses that answered on their interfaces. The original reports none.
import { dumpNeighbours, type LocalAddress, openAddressSocket } from "../../kernel/socket/netlink.ts";

/** NUD_ bits: reachable, stale, delay, probe, permanent. Entries that failed or were never answered are ignored. */
const ANSWERED = 0x02 | 0x04 | 0x08 | 0x10 | 0x80;

/** Returns the neighbours on these interfaces of the host, IPv4 first. */
export function neighbourAddresses(interfaces: readonly number[]): LocalAddress[] {
  if (interfaces.length === 0) return [];
  using socket = openAddressSocket(null);
  return dumpNeighbours(socket)
    .filter(({ ifindex, state }) => (state & ANSWERED) !== 0 && interfaces.includes(ifindex))
    .map(({ family, bytes, ifindex }) => ({ family, bytes, ifindex, scope: 0, flags: 0, prefixLength: 0 }))
    .sort((a, b) => a.family - b.family || Buffer.compare(a.bytes, b.bytes));
}
