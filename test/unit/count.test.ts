// The count of a test run: the second attempt of files in which tests failed.
import { expect, test } from "bun:test";
import { Count } from "../lib/count.ts";

/** Returns a count with one failed test in each of some files, whose second attempts have the given results. */
function failedIn(...results: boolean[]): { count: Count; attempts: number[] } {
  const count = new Count();
  const attempts: number[] = [];
  results.forEach((result, index) => {
    const failed = [`file ${index}: test`];
    for (const name of failed) count.note(name, false);
    const again = async () => (attempts.push(index) > 0 && result ? failed : null);
    count.canRepeat({ failed, passed: [], again });
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

test("a test that is left out at the second attempt has not passed", async () => {
  const count = new Count();
  for (const name of ["a", "b"]) count.note(name, false);
  count.canRepeat({ failed: ["a", "b"], passed: [], again: async () => ["b"] });
  await count.repeatFailed();
  expect([count.passed, count.failed, count.unsteady]).toEqual([0, ["a", "b"], []]);
});

test("a test that passed at the first attempt must also pass at the second one", async () => {
  const count = new Count();
  count.note("a", true);
  count.note("b", false);
  count.canRepeat({ failed: ["b"], passed: ["a"], again: async () => ["b"] });
  await count.repeatFailed();
  expect([count.passed, count.failed]).toEqual([1, ["b"]]);
});

test("where a hook failed, the tests after it count at the second attempt", async () => {
  const count = new Count();
  count.note("file: before", true);
  count.note("file: group > (unnamed)", false);
  const again = async () => ["file: before", "file: group > a", "file: group > b"];
  count.canRepeat({ failed: ["file: group > (unnamed)"], passed: ["file: before"], again });
  await count.repeatFailed();
  expect([count.passed, count.failed, count.unsteady]).toEqual([3, [], ["file: group > (unnamed)"]]);
});
