// The everyday checks of test/host/smoke, one test each, in their order: they build on each other.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { Bed, isStock, tree } from "../lib/bed.ts";
import { failsWithStock } from "./smoke-exceptions.ts";

const SMOKE = join(import.meta.dir, "smoke");
const CHECK_TIMEOUT_MS = 90_000;

const names = Bun.spawnSync([SMOKE, "--list"]).stdout.toString().trim().split("\n");

let bed: Bed;

beforeAll(async () => {
  bed = await Bed.boot("smoke");
  await bed.install();
}, 60_000);

afterAll(() => bed.stop(), 30_000);

for (const name of names) {
  const reason = isStock ? failsWithStock[tree][name] : undefined;
  const title = reason === undefined ? name : `${name} (left out: ${reason})`;
  test.skipIf(reason !== undefined)(
    title,
    async () => {
      const child = Bun.spawn([SMOKE, bed.name, name], { stdin: "ignore", stdout: "pipe" });
      expect((await child.stdout.text()).trim()).toBe(`PASS ${name}`);
    },
    CHECK_TIMEOUT_MS,
  );
}
