// The count of a test run: the second attempt of files in which tests failed.
import { expect, test } from "bun:test";
import { Count } from "../lib/count.ts";

/** Returns a count with one failed test in each of `files` files, whose second attempts have the given results. */
function failedIn(...results: boolean[]): { count: Count; attempts: number[] } {
  const count = new Count();
  const attempts: number[] = [];
  results.forEach((result, index) => {
    const names = [`file ${index}: test`];
    for (const name of names) count.note(name, false);
    count.canRepeat({ names, again: async () => attempts.push(index) > 0 && result });
  });
  return { count, attempts };
}

test("a file that passes at the second attempt counts as passed, and its tests are named", async () => {
  const { count, attempts } = failedIn(true, false);
  await count.repeatFailed();
  expect(attempts).toEqual([0, 1]);
  expect([count.passed, count.failed, count.unsteady]).toEqual([1, ["file 1: test"], ["file 0: test"]]);
});

test("no file has a third attempt", async () => {
  const { count, attempts } = failedIn(false);
  await count.repeatFailed();
  await count.repeatFailed();
  expect(attempts).toEqual([0]);
  expect(count.failed).toEqual(["file 0: test"]);
});

test("after failures in more than three files there is no second attempt", async () => {
  const { count, attempts } = failedIn(true, true, true, true);
  await count.repeatFailed();
  expect(attempts).toEqual([]);
  expect(count.failed).toHaveLength(4);
});
