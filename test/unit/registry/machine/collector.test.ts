// The end of machines on a host that lacks descriptors, or watches of files.
import { expect, test } from "bun:test";
import { ErrnoError } from "../../../../src/base/error.ts";
import { Collector } from "../../../../src/registry/machine/collector.ts";
import type { Machine } from "../../../../src/registry/machine/machine.ts";
import type { MachineSet } from "../../../../src/registry/machine/set.ts";
import { waitFor } from "../../../lib/wait-for.ts";

/** A machine without a leader whose group is `occupied()`; it cannot be watched, as there is no such group. */
function machineOf(name: string, occupied: () => boolean): Machine {
  return {
    ...{ name, started: true, isHost: false, isLeaderless: true, watches: [] },
    place: { unit: `${name}.service`, subgroup: "", cgroup: `/no-such-group-${process.pid}` },
    get isOccupied() {
      return occupied();
    },
  } as unknown as Machine;
}

test("a machine is forgotten, though its group could not be read or watched when its leader ended", async () => {
  const told: string[] = [];
  const all = new Set<Machine>();
  const collector = new Collector({ has: (machine: Machine) => all.has(machine) } as unknown as MachineSet, {
    gone: (machine) => {
      all.delete(machine);
      told.push(`${machine.name} gone`);
    },
    stays: ({ name }) => void told.push(`${name} stays`),
  });
  let isShort = true;
  const unread = machineOf("unread", () => {
    if (isShort) throw new ErrnoError("EMFILE", "no descriptor is free");
    return false;
  });
  let hasProcesses = true;
  const unwatched = machineOf("unwatched", () => hasProcesses);
  for (const machine of [unread, unwatched]) {
    all.add(machine);
    collector.enqueue(machine);
  }
  await waitFor(() => expect(told).toEqual(["unwatched stays"]), "the first look");
  isShort = false;
  await waitFor(() => expect(told).toEqual(["unwatched stays", "unread gone"]), "the end of the first machine");
  hasProcesses = false;
  await waitFor(() => expect(told).toEqual(["unwatched stays", "unread gone", "unwatched gone"]), "the other's end");
});
