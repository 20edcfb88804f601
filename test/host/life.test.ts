// A daemon that is killed again and again, and a service manager that executes itself anew: callers wait, and are answered.
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

/** As a service of its own: what waits for PID 1 from outside is sent away when that executes itself anew. */
async function probe(...words: string[]): Promise<Outcomes> {
  const source = Buffer.from(await Bun.file(PROBE).text()).toString("base64");
  const [name = ""] = words;
  const command = `python3 /run/life.py ${words.join(" ")} >/run/${name}.json.part && mv /run/${name}.json.part /run/${name}.json`;
  await bed.run(`echo ${source} | base64 -d >/run/life.py
    systemd-run --quiet --no-block --unit=probe-${name} sh -c '${command}'`);
  // Even looking goes wrong while PID 1 is away.
  const read = async () => JSON.parse(await bed.run(`cat /run/${name}.json`)) as Outcomes;
  return waitFor(read, `the probe '${name}'`, GUARD_MS / 2);
}

test.skipIf(isStock)(
  `47 kills leave a registry, and no caller waits in vain${isStock ? " (left out: the distribution's is not started again)" : ""}`,
  async () => {
    const { done = 0, slowest = 0, ...failures } = await probe("kill", "47");
    expect(done).toBeGreaterThan(30);
    expect(slowest).toBeLessThan(PATIENCE_SECONDS);
    // Calls that were under way when it was killed, and those to a daemon by its number on the bus.
    expect(Object.keys(failures).filter((name) => !["NoReply", "ServiceUnknown"].includes(name))).toEqual([]);
    await waitFor(() => bed.run(`systemctl is-active ${SERVICE}`), "the service");
  },
  GUARD_MS,
);

test.skipIf(isStock)(
  `machines are created and ended while PID 1 executes itself anew${isStock ? " (left out: the distribution's fails)" : ""}`,
  async () => {
    const { done = 0, slowest = 0, ...failures } = await probe("reexec", "8");
    expect(failures).toEqual({});
    expect(done).toBeGreaterThan(100);
    expect(slowest).toBeLessThan(PATIENCE_SECONDS);
    expect(await bed.run("ls -A /run/systemd/machines")).toBe("");
  },
  GUARD_MS,
);
