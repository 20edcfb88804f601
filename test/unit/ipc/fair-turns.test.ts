import { expect, test } from "bun:test";
import { FairTurns } from "../../../src/ipc/fair-turns.ts";
import { until } from "../../kernel/support.ts";

/** Uses the CPU for longer than any time slice. */
function work(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end) {}
}

test("work of a user that has used little time is started at once, and continues in later turns", async () => {
  const turns = new FairTurns();
  let done = 0;
  turns.run(0, () => ++done < 3);
  expect(done).toBeGreaterThan(0);
  await until(() => done === 3, "the rest");
});

test("a user that is always busy delays another user by at most one piece of its work", async () => {
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
  // Also in a later turn, while the busy user's work still waits.
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

test("the connections of a user take turns, and all their work is done", async () => {
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
