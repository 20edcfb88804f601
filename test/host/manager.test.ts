// org.freedesktop.machine1 on a booted host, with real units, processes, namespaces and users: test/host/probe.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Bed, isStock, systemdVersion } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const PROBE = join(import.meta.dir, "probe/machine1.py");

const source = readFileSync(PROBE, "utf8");
const names = [...source.matchAll(/^@check\("(.*)"\)$/gm)].map(([, name = ""]) => name);

/** Checks that fail with the distribution's daemon in some versions, with the reason. */
const STOCK_DIFFERS: readonly [RegExp, (version: number) => boolean, string][] = [
  [/^M76|^M77/, (version) => version < 258, "subgroups are new in 258"],
  [/^M84 M86/, (version) => version < 258, "before 258 the scope's end is waited for, and the scope is not stopped"],
  [/^M58/, (version) => version < 258, "there is no supervisor before 258"],
  [/^the bus refuses calls of users/, () => true, "systemd's policy lets them through"],
  [/hostile os-release/, () => true, "systemd opens files of every kind"],
  [/^M102/, (version) => version < 253, "252 answers Failed"],
];

let bed: Bed;
let lines: string[] = [];

beforeAll(async () => {
  bed = await Bed.boot("manager");
  await bed.install();
  const directory = "/root/probe";
  const text = Buffer.from(source).toString("base64");
  await bed.run(`mkdir -p ${directory}; base64 -d >${directory}/machine1.py <<<'${text}'`);
  const { output } = await bed.exec(`python3 ${directory}/machine1.py`);
  lines = output.split("\n");
}, GUARD_MS);

afterAll(() => bed.stop(), GUARD_MS);

for (const name of names) {
  const difference = STOCK_DIFFERS.find(
    ([pattern, differs]) => isStock && pattern.test(name) && differs(systemdVersion),
  );
  const title = difference === undefined ? name : `${name} (left out: ${difference[2]})`;
  test.skipIf(difference !== undefined)(title, () => {
    const line = lines.find((text) => text === `PASS ${name}` || text.startsWith(`FAIL ${name}: `));
    expect(line ?? lines.slice(-5).join("\n")).toBe(`PASS ${name}`);
  });
}
