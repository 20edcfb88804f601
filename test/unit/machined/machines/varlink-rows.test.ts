import { expect, test } from "bun:test";
import { Reply } from "../../../../src/ipc/varlink/binding.ts";
import { type Descriptions, describeMachines } from "../../../../src/machined/machines/varlink-rows.ts";

/** A VM of the registry: it has no os-release and no id shift that could be read. */
function virtualMachine(name: string) {
  const facts = { name, id: null, class: "vm", service: "", rootDirectory: "", leader: null, supervisor: null, uid: 0 };
  return { name, class: "vm", facts, place: null, startedAt: null };
}

/** A daemon whose machines take longer than a slice to be read; `onRead` is called for each. */
function slowDaemon(machines: Map<string, ReturnType<typeof virtualMachine>>, onRead: (name: string) => void) {
  return {
    registry: { list: () => machines.values(), find: (name: string) => machines.get(name) ?? null },
    addresses: {
      of: ({ name }: { name: string }) => {
        onRead(name);
        for (const startMs = performance.now(); performance.now() - startMs < 5; );
        return [];
      },
    },
  };
}

test("other callers have their turn while all machines are described, and machines that end meanwhile are left out", async () => {
  const machines = new Map(["a", "b", "c", "d"].map((name) => [name, virtualMachine(name)]));
  const read: string[] = [];
  const turns: string[] = [];
  const daemon = slowDaemon(machines, (name) => {
    read.push(name);
    setImmediate(() => {
      turns.push(name);
      // Replaced by another of its name, and ended, by calls that are answered meanwhile.
      if (name === "a") machines.set("b", virtualMachine("b"));
      if (name === "c") machines.delete("d");
    });
  });
  const parameters = { name: null, metadata: "graceful", more: true } as const;
  const result = await describeMachines.run(daemon as never, { subject: null } as never, parameters, {} as never);
  const rows = (result as Descriptions)[Reply.many];
  expect(rows.map(({ name }) => name)).toEqual(["a", "c"]);
  expect(read).toEqual(["a", "c"]);
  expect(turns).toEqual(["a", "c"]);
});
