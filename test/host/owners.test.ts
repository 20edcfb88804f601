// Users who register machines: what they get and what they do not, over both transports (CVE-2026-4105).
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Bed, isStock, systemdVersion } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const PROBE = join(import.meta.dir, "probe/owners.py");
const NAMES = [
  "no way registers a machine of class host, or of none",
  "no way registers somebody else's process",
  "every way registers one's own process",
  "a machine in the host's user namespace: only what is its owner's opens, and only to its owner",
  "a machine in the host's user namespace: its owner signals it, others do not",
  "a machine in a user namespace of its own: only what is its owner's opens, and only to its owner",
  "a machine in a user namespace of its own: its owner signals it, others do not",
  "nothing was copied",
  "the host itself stays closed to a user",
];

/** Before 258 only root registers: M168 in manager.test.ts. The original is not held to this list. */
const reason = isStock
  ? " (left out: the original lets owners open terminals of the host)"
  : systemdVersion < 258
    ? ` (left out: systemd ${systemdVersion} lets no user register)`
    : "";

let lines: string[] = [];
let bed: Bed | null = null;

beforeAll(async () => {
  if (reason !== "") return;
  bed = await Bed.boot("owners");
  await bed.install();
  await bed.run(`base64 -d >/root/owners.py <<<'${readFileSync(PROBE).toString("base64")}'`);
  const { output } = await bed.exec("python3 /root/owners.py");
  lines = output.split("\n");
}, GUARD_MS);

afterAll(() => bed?.stop(), GUARD_MS);

for (const name of NAMES) {
  test.skipIf(reason !== "")(`M116 M170 V49 V51 ${name}${reason}`, () => {
    const line = lines.find((text) => text === `PASS ${name}` || text.startsWith(`FAIL ${name}: `));
    expect(line ?? lines.slice(-5).join("\n")).toBe(`PASS ${name}`);
  });
}
