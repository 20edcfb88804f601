// The second attempt with files that `bun test` runs: what the report of the tests does not have is still a failure.
import { expect, spyOn, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { Count } from "../lib/count.ts";
import { runFolder, TOP } from "../lib/run-tests.ts";

const BEGIN = `import { describe, test } from "bun:test";`;

/** A file with a test that fails at the first attempt only. */
function failsOnce(folder: string): string {
  const mark = JSON.stringify(join(folder, "mark"));
  return `import { existsSync, writeFileSync } from "node:fs"; ${BEGIN}
    test("once", () => { if (!existsSync(${mark})) { writeFileSync(${mark}, ""); throw new Error("first"); } });`;
}

/** Runs files, given with their texts, with a second attempt; returns the count. */
async function attemptTwice(texts: (folder: string) => Record<string, string>): Promise<Count> {
  const folder = mkdtempSync(join(tmpdir(), "machined-attempts-"));
  const log = spyOn(console, "log").mockImplementation(() => {});
  try {
    for (const [name, text] of Object.entries(texts(folder))) writeFileSync(join(folder, `${name}.test.ts`), text);
    const count = new Count();
    await runFolder(count, relative(TOP, folder), { label: "played" });
    await count.repeatFailed();
    return count;
  } finally {
    log.mockRestore();
    rmSync(folder, { recursive: true });
  }
}

const endsOf = (names: readonly string[]) => names.map((name) => name.slice(name.indexOf(") ") + 1).trim());

test("a file whose test fails once passes at the second attempt", async () => {
  const count = await attemptTwice((folder) => ({ once: failsOnce(folder) }));
  expect([count.passed, count.failed, count.unsteady.length]).toEqual([1, [], 1]);
});

test("an error outside of tests is a failure, also where another file passes at the second attempt", async () => {
  const broken = `${BEGIN} test("a", () => {}); describe("b", () => { test("c", () => {}); throw new Error("d"); });`;
  const count = await attemptTwice((folder) => ({ broken, once: failsOnce(folder) }));
  expect(count.unsteady).toEqual([]);
  expect(endsOf(count.failed).join()).toEndWith("(played): 1 error outside of tests");
});

test("an error outside of tests is a failure, also where $FORCE_COLOR is set", async () => {
  const { FORCE_COLOR: before } = process.env;
  process.env["FORCE_COLOR"] = "1";
  try {
    const broken = `${BEGIN} test("a", () => {}); describe("b", () => { test("c", () => {}); throw new Error("d"); });`;
    const count = await attemptTwice((folder) => ({ broken, once: failsOnce(folder) }));
    expect(endsOf(count.failed).join()).toEndWith("(played): 1 error outside of tests");
  } finally {
    if (before === undefined) delete process.env["FORCE_COLOR"];
    else process.env["FORCE_COLOR"] = before;
  }
});

test("where an error came once while a file was being loaded, all files have a second attempt", async () => {
  const count = await attemptTwice((folder) => ({
    a: `${BEGIN} test("a", () => {});`,
    loaded: `import { existsSync, writeFileSync } from "node:fs"; ${BEGIN}
      const mark = ${JSON.stringify(join(folder, "mark"))};
      if (!existsSync(mark)) setImmediate(() => { writeFileSync(mark, ""); throw new Error("late"); });
      await new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
      test("b", () => {});`,
  }));
  expect([count.passed, count.failed]).toEqual([2, []]);
  const [missing = "", errors = ""] = endsOf(count.unsteady);
  expect(missing).toEndWith("/loaded.test.ts: did not run");
  expect(errors).toEndWith("(played): 2 errors outside of tests");
});

test("a file that cannot be loaded, and one that ends the process, are failures at the second attempt, too", async () => {
  const count = await attemptTwice(() => ({ broken: `${BEGIN} test("a", () => {` }));
  expect(count.passed).toBe(0);
  expect(count.failed.join()).toContain("/broken.test.ts: did not run");
  const ended = await attemptTwice(() => ({ ended: `${BEGIN} test("a", () => process.exit(0));` }));
  expect([ended.passed, ended.failed.length]).toEqual([0, 1]);
});
