// Users that register machines: what they may do and what they may not, over D-Bus and Varlink (CVE-2026-4105).
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { Bed, isStock, systemdVersion } from "../lib/bed.ts";
import { GUARD_MS } from "../lib/wait-for.ts";

const PROBE = join(import.meta.dir, "probe/owners.py");
const NAMES = [
  "no method registers a machine of class host, of an unknown class, or without one",
  "no method registers a process of another user",
  "every method registers a process of the caller",
  "a machine in the host's user namespace: terminals and shells are refused, also for its owner",
  "a machine in the host's user namespace: its owner can send signals to it, another user cannot",
  "a machine in its own user namespace: terminals and shells are opened for its owner only",
  "a machine in its own user namespace: its owner can send signals to it, another user cannot",
  "no file was copied",
  "all calls for the host itself are refused for a user",
];

/** Before 258 only root may register: M168 in manager.test.ts. systemd itself fails some of these checks. */
const reason = isStock
  ? " (left out: systemd lets owners open terminals of the host)"
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
