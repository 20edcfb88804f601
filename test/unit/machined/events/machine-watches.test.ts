// When the watches of machines are set.
import { expect, test } from "bun:test";
import { MachineWatches } from "../../../../src/machined/events/machine-watches.ts";
import type { Machine } from "../../../../src/registry/machine/machine.ts";
import type { Log } from "../../../../src/registry/ports.ts";
import { waitFor } from "../../../lib/wait-for.ts";

test("a machine is watched when its scope has been started, however long that takes", async () => {
  const log = { warning: () => {} } as unknown as Log;
  const watched: string[] = [];
  const watches = new MachineWatches(
    ({ name }) => {
      watched.push(name);
      return [];
    },
    log,
    10_000,
  );
  const late = { name: "late", awaitsScope: true, place: { unit: "late.scope", subgroup: "", cgroup: "" } };
  watches.add(late as unknown as Machine, true);
  // So many that the late one is looked at in a hundred turns.
  const COUNT = 1600;
  for (let index = 0; index < COUNT; index++) {
    const cgroup = `/${index}`;
    watches.add({ name: `${index}`, awaitsScope: false, place: { cgroup } } as unknown as Machine, true);
  }
  await waitFor(() => expect(watched.length).toBeGreaterThanOrEqual(COUNT), "the machines that have been started");
  expect(watched).not.toContain("late");
  Object.assign(late, { awaitsScope: false });
  await waitFor(() => expect(watched).toContain("late"), "the late machine");
  watches.close();
});
