// Events about the addresses of a machine: a netlink socket in the machine's network reports a change, and the
// difference to the last reading is logged. The machine controls its tables: readings are paced, the number of
// addresses that are logged is limited, and a machine whose table cannot be read is not read again for a while.
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
/** After a table that cannot be read, the pause is as long as after this many events. */
const FAILURE_EVENTS = 240;
/** Further addresses of one machine are not logged. */
const ADDRESSES_LIMIT = 32;
/**
 * How many batches of announcements are read from the socket before the tables are read; the rest starts the next
 * reading.
 */
const DRAINS = 16;

class AddressWatch implements Disposable {
  readonly #machine: Machine;
  readonly #addresses: Addresses;
  readonly #tell: Tell;
  readonly #socket: Fd;
  readonly #paced = new PacedLook(this, PACE);
  #known: ReadonlyMap<string, LocalAddress> | null;

  /** Owns the socket. `known`: the addresses that are logged already; null: those of the first reading. */
  constructor(
    machine: Machine,
    { socket, known }: { socket: Fd; known: ReadonlyMap<string, LocalAddress> | null },
    addresses: Addresses,
    tell: Tell,
  ) {
    this.#machine = machine;
    this.#addresses = addresses;
    this.#tell = tell;
    this.#socket = socket;
    this.#known = known;
    watch(socket, { read: true }, () => this.#paced.changed());
    // Logs addresses that were added between the first reading and the subscription.
    this.#paced.changed();
  }

  look(): number {
    const isDrained = drain(this.#socket);
    const now = addressesOf(this.#machine, this.#addresses);
    // A failed reading is repeated: no further announcement may come.
    if (!isDrained || now === null || now === "none") this.#paced.changed();
    if (now === null || now === "none") return FAILURE_EVENTS;
    const events = this.#known === null ? [] : differences(this.#machine.name, this.#known, now);
    this.#known = now;
    for (const facts of events) this.#tell(facts);
    return events.length;
  }

  [Symbol.dispose](): void {
    this.#paced[Symbol.dispose]();
    this.#socket.close();
  }
}

/**
 * Watches the addresses of a container with a network of its own; returns the watch, which the caller ends, or null for
 * other machines. The present addresses are logged where `isNew`.
 */
export function watchAddresses(machine: Machine, addresses: Addresses, tell: Tell, isNew: boolean): Disposable | null {
  const first = addressesOf(machine, addresses);
  const socket = first === "none" ? null : openEvents(machine);
  if (first === "none" || socket === null) return null;
  try {
    return new AddressWatch(machine, { socket, known: isNew ? new Map() : first }, addresses, tell);
  } catch (error) {
    socket.close();
    if (errnoNameOf(error) === null) throw error;
    return null;
  }
}

/**
 * Returns the addresses by their interface and bytes; "none" for a machine without a network of its own, null for one
 * whose table cannot be read now.
 */
function addressesOf(machine: Machine, addresses: Addresses): Map<string, LocalAddress> | "none" | null {
  try {
    const all = addresses.of(machine).slice(0, ADDRESSES_LIMIT);
    return new Map(all.map((one) => [`${one.ifindex} ${one.bytes.toString("hex")}`, one]));
  } catch (error) {
    if (error instanceof MachinedError) return "none";
    if (errnoNameOf(error) === null) throw error;
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

/** Reads announcements; returns false where some are left. */
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
