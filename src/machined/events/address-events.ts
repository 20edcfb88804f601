// The addresses of a machine as they come and go: a netlink socket in the machine's network says that there is a change, and
// the difference to the last look is what is told. The machine fills its tables as it likes: looks keep a pace, a few addresses
// are told of each machine, and one whose table cannot be read is left alone for a while.
import { errnoNameOf, MachinedError } from "../../base/error.ts";
import { formatAddress } from "../../base/ip-address.ts";
import { watch } from "../../kernel/event/poller.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { hasChanged, type LocalAddress, openAddressEvents } from "../../kernel/socket/netlink.ts";
import type { Addresses } from "../../registry/machine/addresses.ts";
import type { Machine } from "../../registry/machine/machine.ts";
import type { EventFacts } from "./log.ts";
import { PacedLook } from "./paced-look.ts";

type Tell = (facts: EventFacts) => void;

const PACE = { pauseMs: 1000, perEventMs: 250 };
/** A table that cannot be read counts as so many events. */
const FAILURE_EVENTS = 240;
/** More addresses of one machine are not told. */
const ADDRESSES_LIMIT = 32;
/** How often announcements are taken from the socket before the look. The rest makes the next look due. */
const DRAINS = 16;

/**
 * Watches the addresses of a container with a network of its own; returns what ends that. Those that it has already are told
 * where `isNew`.
 */
export function watchAddresses(machine: Machine, addresses: Addresses, tell: Tell, isNew: boolean): Disposable {
  const watches = new DisposableStack();
  const first = addressesOf(machine, addresses);
  const socket = first === null ? null : openEvents(machine);
  if (first === null || socket === null) return watches;
  let known = isNew ? new Map<string, LocalAddress>() : first;
  const paced = new PacedLook(() => {
    const isDrained = drain(socket);
    const now = addressesOf(machine, addresses);
    if (!isDrained) paced.changed();
    if (now === null) return FAILURE_EVENTS;
    const events = differences(machine.name, known, now);
    known = now;
    for (const facts of events) tell(facts);
    return events.length;
  }, PACE);
  watches.defer(() => socket.close());
  watches.use(watch(socket, { read: true }, paced.changed));
  watches.use(paced);
  // What came between the first question and the socket.
  paced.changed();
  return watches;
}

/** By interface and address; null for a machine without a network of its own, and for one whose table cannot be read. */
function addressesOf(machine: Machine, addresses: Addresses): Map<string, LocalAddress> | null {
  try {
    const all = addresses.of(machine).slice(0, ADDRESSES_LIMIT);
    return new Map(all.map((one) => [`${one.ifindex} ${one.bytes.toString("hex")}`, one]));
  } catch (error) {
    if (!(error instanceof MachinedError) && errnoNameOf(error) === null) throw error;
    return null;
  }
}

function openEvents(machine: Machine): Fd | null {
  try {
    return openAddressEvents(machine.leader);
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    return null;
  }
}

/** Returns false where announcements are left. */
function drain(socket: Fd): boolean {
  for (let i = 0; i < DRAINS; i++) if (!hasChanged(socket)) return true;
  return false;
}

function differences(
  machine: string,
  before: ReadonlyMap<string, LocalAddress>,
  now: ReadonlyMap<string, LocalAddress>,
): EventFacts[] {
  const eventOf = (event: "added" | "removed", { bytes, ifindex }: LocalAddress): EventFacts => {
    return { type: "address", event, machine, address: formatAddress(bytes), ifindex };
  };
  const gone = [...before].filter(([key]) => !now.has(key)).map(([, address]) => eventOf("removed", address));
  const come = [...now].filter(([key]) => !before.has(key)).map(([, address]) => eventOf("added", address));
  return [...gone, ...come];
}
