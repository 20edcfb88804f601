// Terminals, shells, bind mounts and copies for running machines on a booted host: test/host/probe/inside.py.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const PROBE = join(import.meta.dir, "probe/inside.py");

const source = readFileSync(PROBE, "utf8");
const names = [...source.matchAll(/^@check\("(.*)"\)$/gm)].map(([, name = ""]) => name);
const reason = isStock ? " (left out: the original blocks and leaks where this looks)" : "";

let bed: Bed | null = null;
let lines: string[] = [];

beforeAll(async () => {
  if (isStock) return;
  bed = await Bed.boot("reach");
  await bed.install();
  await bed.startContainer("deb1");
  await bed.run(`base64 -d >/root/inside.py <<<'${Buffer.from(source).toString("base64")}'`);
  const { output } = await bed.exec("python3 /root/inside.py");
  lines = output.split("\n");
}, GUARD_MS);

afterAll(() => bed?.stop(), GUARD_MS);

for (const name of names) {
  test.skipIf(isStock)(`${name}${reason}`, () => {
    const line = lines.find((text) => text === `PASS ${name}` || text.startsWith(`FAIL ${name}: `));
    expect(line ?? lines.slice(-5).join("\n")).toBe(`PASS ${name}`);
  });
}
