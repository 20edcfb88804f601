import { expect, test } from "bun:test";
import { preparer } from "../../../src/base/prepared.ts";

interface Thing {
  readonly name: string;
}

const MANY = 1000;

function things(): Thing[] {
  return Array.from({ length: MANY }, (_, index) => ({ name: `thing-${index}` }));
}

test("a list is prepared once while its items are the same", () => {
  let calls = 0;
  const list = preparer(({ name }: Thing) => {
    calls++;
    return name;
  });
  const items = things();
  const first = list(items);
  expect(first.value).toEqual(items.map(({ name }) => name));
  expect(list(items)).toBe(first);
  expect(list(new Set(items))).toBe(first);
  expect(calls).toBe(MANY);
});

test("a list is prepared again when an item is another one, or has gone", () => {
  const list = preparer(({ name }: Thing) => name);
  const items = things();
  list(items);
  const other = [{ name: "other" }, ...items.slice(1)];
  expect(list(other).value[0]).toBe("other");
  expect(list(items.slice(1)).value).toHaveLength(MANY - 1);
  expect(list([]).value).toEqual([]);
});

test("items that have gone are not kept by the last list", async () => {
  const list = preparer(({ name }: Thing) => name);
  const seen = things().map((thing) => {
    list([thing]);
    return new WeakRef(thing);
  });
  list(seen.flatMap((reference) => reference.deref() ?? []));
  await new Promise((resolve) => setImmediate(resolve));
  Bun.gc(true);
  // The stack may still have a few by chance.
  const left = seen.filter((reference) => reference.deref() !== undefined);
  expect(left.length).toBeLessThan(MANY / 10);
});
