import { expect, test } from "bun:test";
import { FairTurns } from "../../../src/ipc/fair-turns.ts";
import { until } from "../../kernel/support.ts";

/** Keeps the processor for more than any slice. */
function work(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end) {}
}

test("work of a user with little use is begun at once, and continues", async () => {
  const turns = new FairTurns();
  let done = 0;
  turns.run(0, () => ++done < 3);
  expect(done).toBeGreaterThan(0);
  await until(() => done === 3, "the rest");
});

test("a user that is always busy does not delay another by more than a piece of its work", async () => {
  const turns = new FairTurns();
  const log: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  for (let i = 0; i < 30; i++) {
    turns.run(1000, () => {
      work(5);
      log.push("busy");
      return false;
    });
  }
  expect(log).toEqual(["busy"]);
  turns.run(0, () => {
    log.push("other");
    return false;
  });
  expect(log).toEqual(["busy", "other"]);
  // In a later turn as well, while the crowd still waits.
  setImmediate(() => {
    const at = log.length;
    turns.run(0, () => {
      expect(log.length).toBeLessThan(at + 3);
      log.push("other");
      resolve();
      return false;
    });
  });
  await promise;
  expect(log.length).toBeLessThan(32);
});

test("a user's connections take turns, and nothing is lost", async () => {
  const turns = new FairTurns();
  const log: string[] = [];
  const { promise, resolve } = Promise.withResolvers<void>();
  for (const name of ["a", "b", "c"]) {
    let left = 3;
    turns.run(7, () => {
      work(5);
      log.push(name);
      if (log.length === 9) resolve();
      return --left > 0;
    });
  }
  await promise;
  expect([...log].sort().join("")).toBe("aaabbbccc");
  expect(log.slice(-6).join("")).not.toMatch(/(.)\1/);
});
