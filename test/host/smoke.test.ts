// The everyday checks of test/host/smoke, one test each, in their order: they build on each other.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Bed, isStock, tree } from "../lib/bed.ts";
import { smoke, smokeChecks } from "../lib/smoke.ts";
import { GUARD_MS } from "../lib/wait-for.ts";
import { failsWithStock } from "./smoke-exceptions.ts";

const CHECK_TIMEOUT_MS = GUARD_MS;

let bed: Bed;

beforeAll(async () => {
  bed = await Bed.boot("smoke");
  await bed.install();
}, GUARD_MS);

afterAll(() => bed.stop(), GUARD_MS);

for (const name of smokeChecks()) {
  const reason = isStock ? failsWithStock[tree][name] : undefined;
  const title = reason === undefined ? name : `${name} (left out: ${reason})`;
  test.skipIf(reason !== undefined)(
    title,
    async () => expect(await smoke(bed.name, name)).toBe(`PASS ${name}`),
    CHECK_TIMEOUT_MS,
  );
}
