import { expect, test } from "bun:test";
import { discoveredTargets } from "../../../../src/machined/stats/service-discovery.ts";

const machineOf = (name: string) => ({ name, class: "container", isHost: name === ".host", facts: { service: "" } });

test("other callers have their turn while targets are discovered, and machines that end meanwhile are left out", async () => {
  const machines = new Map([".host", "a", "b", "c", "d"].map((name) => [name, machineOf(name)]));
  const turns: string[] = [];
  const daemon = {
    registry: { list: () => machines.values(), find: (name: string) => machines.get(name) ?? null },
    addresses: {
      of: ({ name }: { name: string }) => {
        setImmediate(() => {
          turns.push(name);
          if (name === "a") machines.set("b", machineOf("b"));
        });
        // Longer than a slice.
        for (const startMs = performance.now(); performance.now() - startMs < 5; );
        return [{ bytes: Buffer.from([10, 0, 0, 1]) }];
      },
    },
  };
  const groups = await discoveredTargets(daemon as never, 9100);
  expect(groups.map(({ labels }) => labels["machine"])).toEqual(["a", "c", "d"]);
  expect(turns).toEqual(["a", "c", "d"]);
});
