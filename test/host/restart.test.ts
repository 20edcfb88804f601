// The daemon is killed and started again: it has the machines of /run/systemd/machines that still run.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { Bed, isStock } from "../lib/bed.ts";
import { createMachines, type Facts, machineFacts } from "../lib/machines.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";

const TIMEOUT_MS = GUARD_MS;
const COUNT = 50;
const KILL = "systemctl kill --signal=KILL systemd-machined.service; systemctl reset-failed systemd-machined.service";

let bed: Bed;
let facts: Readonly<Record<string, Facts>>;

beforeAll(async () => {
  bed = await Bed.boot("restart");
  await bed.install();
  await createMachines(bed, COUNT, "m");
  facts = await machineFacts(bed);
}, TIMEOUT_MS);

afterAll(() => bed.stop(), GUARD_MS);

test(
  "a killed daemon leaves its state files; machined is restarted at once (M87)",
  async () => {
    expect(Object.keys(facts)).toHaveLength(COUNT);
    const mainPid = () => bed.run("systemctl show -P MainPID systemd-machined.service");
    const before = await mainPid();
    await bed.run(KILL);
    await waitFor(async () => expect(await mainPid()).not.toBe(before), "its end");
    if (isStock) expect(await mainPid()).toBe("0");
    else await waitFor(async () => expect(await mainPid()).not.toBe("0"), "the next daemon");
    expect(await bed.run("ls /run/systemd/machines | grep -vc ^unit:")).toBe(String(COUNT));
  },
  TIMEOUT_MS,
);

test(
  "the next call returns the same machines (M87, M90)",
  async () => {
    expect(await machineFacts(bed)).toEqual(facts);
  },
  TIMEOUT_MS,
);

test(
  "an orderly restart keeps the machines, too (M90)",
  async () => {
    await bed.run("systemctl restart systemd-machined.service");
    expect(await machineFacts(bed)).toEqual(facts);
  },
  TIMEOUT_MS,
);

test(
  "machines that ended while no daemon ran are removed, with their files (M88)",
  async () => {
    const dead = ["m3", "m17", "m18", "m41", "m50"];
    const pids = dead.map((name) => facts[name]?.["Leader"]).join(" ");
    await bed.run(`${KILL}; kill -KILL ${pids}`);
    const alive = Object.fromEntries(Object.entries(facts).filter(([name]) => !dead.includes(name)));
    await waitFor(async () => expect(await machineFacts(bed)).toEqual(alive), "the dead machines to be dropped");
    const files = (await bed.run("ls /run/systemd/machines")).split("\n");
    expect(files.filter((name) => !name.startsWith("unit:")).sort()).toEqual(Object.keys(alive).sort());
    expect(files.filter((name) => name.startsWith("unit:"))).toHaveLength(COUNT - dead.length);
  },
  TIMEOUT_MS,
);

test(
  "a machine ends when its leader ends (M84)",
  async () => {
    await bed.run(`kill -KILL ${facts["m1"]?.["Leader"]}`);
    await waitFor(async () => expect(Object.keys(await machineFacts(bed))).not.toContain("m1"), "the machine to go");
    await waitFor(
      async () => expect(await bed.run("ls /run/systemd/machines")).not.toMatch(/^m1$/m),
      "its state file to go",
    );
  },
  TIMEOUT_MS,
);
