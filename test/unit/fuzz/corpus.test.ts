// Runs each parser on its seeds, on all inputs that broke it before, and on new inputs from a fixed random seed.
import { expect, setDefaultTimeout, test } from "bun:test";
import { mutate, Random } from "../../fuzz/mutate.ts";
import { attempt, corpusOf } from "../../fuzz/run.ts";
import { TARGETS } from "../../fuzz/targets.ts";
import { GUARD_MS } from "../../lib/wait-for.ts";

setDefaultTimeout(GUARD_MS);

const INPUTS = 3_000;
/** For targets that write files for each input. */
const SLOW_INPUTS = 300;
const SLOW = ["untar", "layer", "qcow2", "gpt"];

for (const [name, target] of Object.entries(TARGETS)) {
  test(`${name}: no input from a peer breaks it`, async () => {
    const random = new Random(20260101);
    const known = [...target.seeds, ...corpusOf(name)];
    for (const bytes of known) expect(await attempt(target, bytes)).toBeNull();
    for (let i = 0; i < (SLOW.includes(name) ? SLOW_INPUTS : INPUTS); i++) {
      const bytes = mutate(known, random);
      const failure = await attempt(target, bytes);
      if (failure !== null) throw new Error(`${JSON.stringify(bytes.toString("latin1").slice(0, 400))}: ${failure}`);
    }
  });
}
