// Events about the addresses of a machine whose table cannot be read for a moment.
import { afterEach, expect, jest, test } from "bun:test";
import { ErrnoError } from "../../../../src/base/error.ts";
import { watchAddresses } from "../../../../src/machined/events/address-events.ts";
import type { EventFacts } from "../../../../src/machined/events/log.ts";
import type { Addresses } from "../../../../src/registry/machine/addresses.ts";
import type { Machine } from "../../../../src/registry/machine/machine.ts";

/** Longer than the pause after a table that cannot be read. */
const PAUSE_MS = 62_000;

afterEach(() => {
  jest.useRealTimers();
});

const ADDRESS = { family: 2, bytes: Buffer.from([10, 0, 0, 1]), ifindex: 7, scope: 0, flags: 0, prefixLength: 24 };

test.each([
  ["a new machine", true, 1],
  ["a restored machine", false, 0],
])("the addresses of %s that could not be read at first are read later", (_, isNew, count) => {
  jest.useFakeTimers();
  const failures = [1, 2, 3];
  const of = () => {
    if (failures.pop() !== undefined) throw new ErrnoError("EMFILE", "too many open files");
    return [ADDRESS];
  };
  const machine = { name: "m", leader: null } as unknown as Machine;
  const told: EventFacts[] = [];
  const watch = watchAddresses(machine, { of } as unknown as Addresses, (facts) => told.push(facts), isNew);
  try {
    jest.advanceTimersByTime(3 * PAUSE_MS);
    expect(failures).toEqual([]);
    expect(told.length).toBe(count);
  } finally {
    watch?.[Symbol.dispose]();
  }
});

test("a change whose reading failed is logged later, though no further one follows", () => {
  jest.useFakeTimers();
  const readings = [
    () => [],
    () => {
      throw new ErrnoError("ETIMEDOUT", "the kernel does not answer");
    },
  ];
  const addresses = { of: () => readings.shift()?.() ?? [ADDRESS] } as unknown as Addresses;
  // Its network is that of this process.
  const machine = { name: "m", leader: null } as unknown as Machine;
  const told: EventFacts[] = [];
  const watch = watchAddresses(machine, addresses, (facts) => told.push(facts), true);
  try {
    expect(told).toEqual([]);
    jest.advanceTimersByTime(PAUSE_MS);
    expect(told).toEqual([{ type: "address", event: "added", machine: "m", address: "10.0.0.1", ifindex: 7 }]);
  } finally {
    watch?.[Symbol.dispose]();
  }
});
