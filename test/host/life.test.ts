// A daemon that is killed many times, and a service manager that re-executes itself: callers wait, and are answered.
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { Bed, isStock } from "../lib/bed.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";

const PROBE = join(import.meta.dir, "probe/life.py");
const SERVICE = "systemd-machined.service";
/** Callers of D-Bus wait for 25 s. */
const PATIENCE_SECONDS = 20;

type Outcomes = Readonly<Record<string, number>>;

let bed: Bed;

beforeAll(async () => {
  bed = await Bed.boot("life");
  await bed.install();
}, GUARD_MS);
afterAll(() => bed.stop(), GUARD_MS);

/** As a service: clients that wait for PID 1 are disconnected when it re-executes itself. */
async function probe(...words: string[]): Promise<Outcomes> {
  const source = Buffer.from(await Bun.file(PROBE).text()).toString("base64");
  const [name = ""] = words;
  const command = `python3 /run/life.py ${words.join(" ")} >/run/${name}.json.part && mv /run/${name}.json.part /run/${name}.json`;
  await bed.run(`echo ${source} | base64 -d >/run/life.py
    systemd-run --quiet --no-block --unit=probe-${name} sh -c '${command}'`);
  // Even reading fails while PID 1 re-executes itself.
  const read = async () => JSON.parse(await bed.run(`cat /run/${name}.json`)) as Outcomes;
  return waitFor(read, `the probe '${name}'`, GUARD_MS / 2);
}

test.skipIf(isStock)(
  `47 kills of the daemon fail only calls that were pending at the kill, and it is restarted each time${isStock ? " (left out: the distribution's is not started again)" : ""}`,
  async () => {
    const { done = 0, slowest = 0, ...failures } = await probe("kill", "47");
    expect(done).toBeGreaterThan(30);
    expect(slowest).toBeLessThan(PATIENCE_SECONDS);
    // Only calls that were pending at the kill may fail.
    expect(Object.keys(failures).filter((name) => name !== "NoReply")).toEqual([]);
    await waitFor(() => bed.run(`systemctl is-active ${SERVICE}`), "the service");
  },
  GUARD_MS,
);

test.skipIf(isStock)(
  `machines can be created and terminated while PID 1 re-executes itself${isStock ? " (left out: the distribution's fails)" : ""}`,
  async () => {
    const { done = 0, slowest = 0, ...failures } = await probe("reexec", "8");
    expect(failures).toEqual({});
    expect(done).toBeGreaterThan(100);
    expect(slowest).toBeLessThan(PATIENCE_SECONDS);
    expect(await bed.run("ls -A /run/systemd/machines")).toBe("");
  },
  GUARD_MS,
);
