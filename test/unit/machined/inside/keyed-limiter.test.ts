// Tasks of machines, some of which never end.
import { expect, test } from "bun:test";
import { KeyedLimiter } from "../../../../src/machined/inside/keyed-limiter.ts";

const [ALICE, BOB] = [1000, 1001];

test("one owner, however many machines hang, leaves places for others, whose work does not wait behind", async () => {
  const limiter = new KeyedLimiter<object>({ all: 4, each: 4 });
  let hung = 0;
  const end = Promise.withResolvers<void>();
  const tasks = Array.from({ length: 20 }, () =>
    limiter.take({}, ALICE, () => {
      hung++;
      return end.promise;
    }),
  );
  expect(await limiter.take({}, BOB, () => Promise.resolve("done"))).toBe("done");
  expect(hung).toBe(2);
  end.resolve();
  await Promise.all(tasks);
  expect(hung).toBe(20);
});

test("the work of one machine is done one after the other, also after a failure", async () => {
  const limiter = new KeyedLimiter<object>({ all: 4, each: 4 });
  const machine = {};
  const events: string[] = [];
  const task = (name: string, fails: boolean) =>
    limiter.take(machine, ALICE, async () => {
      events.push(`${name} begins`);
      await Promise.resolve();
      events.push(`${name} ends`);
      if (fails) throw new Error(name);
    });
  const [first, second] = [task("first", true).catch((error: Error) => error.message), task("second", false)];
  expect(await first).toBe("first");
  await second;
  expect(events).toEqual(["first begins", "first ends", "second begins", "second ends"]);
});
