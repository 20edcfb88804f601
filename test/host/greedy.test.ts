// Greedy peers on the sockets and the bus of a booted host: test/host/probe/greedy_host.py.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Bed, isStock } from "../lib/bed.ts";

const PROBE_TIMEOUT_MS = 400_000;
const reason = isStock ? " (left out: the original has no such limits)" : "";

const files = {
  "greedy.py": readFileSync(join(import.meta.dir, "../lib/greedy.py")),
  "greedy_host.py": readFileSync(join(import.meta.dir, "probe/greedy_host.py")),
};
const names = [...files["greedy_host.py"].toString().matchAll(/^ {4}\("(\w+)", (\S+), \d+, (.*)\),$/gm)];

let bed: Bed | null = null;
let lines: string[] = [];

beforeAll(async () => {
  if (isStock) return;
  bed = await Bed.boot("greedy");
  await bed.install();
  for (const [name, content] of Object.entries(files)) {
    await bed.run(`base64 -d >/root/${name} <<<'${content.toString("base64")}'`);
  }
  const { output } = await bed.exec("cd /root && python3 greedy_host.py", PROBE_TIMEOUT_MS / 1000);
  if (process.env["TEST_VERBOSE"]) console.log(output);
  lines = output.split("\n");
}, PROBE_TIMEOUT_MS + 60_000);

afterAll(() => bed?.stop(), 30_000);

test.skipIf(isStock)(`greedy peers do not delay others, and leave no resources in use${reason}`, () => {
  expect(names.length).toBeGreaterThan(10);
  expect(lines.filter((line) => line.startsWith("FAIL"))).toEqual([]);
  expect(lines.filter((line) => line.startsWith("PASS")).length).toBe(names.length);
});
