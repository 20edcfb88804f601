// The daemon's HTTP socket: metrics for Prometheus, targets for its service discovery, a thousand machines.
import { describe, expect, test } from "bun:test";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Subprocess } from "bun";
import { manager, needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { openDescriptors } from "../lib/descriptors.ts";
import { parseOpenMetrics, valueIn } from "../lib/openmetrics.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";

const OPENMETRICS = "application/openmetrics-text;version=1.0.0";
const MAIN = join(import.meta.dir, "../../src/main.ts");
const MANY = 1000;

function get(daemon: TestDaemon, path: string, accept?: string): Promise<Response> {
  return fetch(`http://localhost${path}`, {
    unix: join(daemon.runtime, "machine/metrics"),
    ...(accept === undefined ? {} : { headers: { Accept: accept } }),
  });
}

async function families(daemon: TestDaemon) {
  return parseOpenMetrics(await (await get(daemon, "/metrics", OPENMETRICS)).text());
}

/** Runs machinectl against the daemon. */
async function machinectl(daemon: TestDaemon, ...words: string[]) {
  const child = Bun.spawn([process.execPath, MAIN, "machinectl", ...words], {
    env: { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: daemon.runtime },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([child.stdout.text(), child.stderr.text()]);
  return { code: await child.exited, stdout, stderr };
}

describe.skipIf(needsRoot !== "")(`metrics${needsRoot}`, () => {
  test("a scrape has metrics of machines and of the daemon, in the requested format", async () => {
    await using daemon = await TestDaemon.start();
    const bus = await daemon.bus();
    const leader = await daemon.leader("--net");
    await register(bus, "web", leader, { service: 'a "service"', create: true });
    await manager(bus, "GetMachine", "s", "nobody").catch(() => {});
    const text = await get(daemon, "/metrics");
    expect(text.headers.get("Content-Type")).toBe("text/plain; version=0.0.4; charset=utf-8");
    expect(await text.text()).toContain("# TYPE machined_machine_info gauge\n");
    const open = await get(daemon, "/metrics", OPENMETRICS);
    expect(open.headers.get("Content-Type")).toBe("application/openmetrics-text; version=1.0.0; charset=utf-8");
    const all = parseOpenMetrics(await open.text());
    expect(valueIn(all, 'machined_machine_info{class="container",machine="web",service="a \\"service\\""}')).toBe(1);
    expect(valueIn(all, 'machined_machines{class="container"}')).toBe(1);
    const method = '{interface="org.freedesktop.machine1.Manager",method="GetMachine"}';
    expect(valueIn(all, `machined_calls_total${method}`)).toBe(1);
    expect(valueIn(all, `machined_call_errors_total${method}`)).toBe(1);
    expect(valueIn(all, 'machined_machine_cpu_seconds_total{machine="web"}')).toBeLessThan(60);
    expect(valueIn(all, 'machined_machine_network_receive_bytes_total{machine="web"}')).toBe(0);
  });

  test("unknown methods and calls that fail early add no series", async () => {
    await using daemon = await TestDaemon.start();
    const bus = await daemon.bus();
    for (let count = 0; count < 20; count++) await manager(bus, `NoSuch${count}`).catch(() => {});
    const varlink = await daemon.varlink();
    for (let count = 0; count < 20; count++) {
      await varlink.call(`io.systemd.Machine.NoSuch${count}`).catch(() => {});
      await varlink.call(`io.made.up${count}.Get`).catch(() => {});
    }
    expect(JSON.stringify([...(await families(daemon)).values()])).not.toMatch(/NoSuch|made/);
  });

  test("the next scrape has exactly the present machines, independent of the sample's age", async () => {
    await using daemon = await TestDaemon.start();
    const bus = await daemon.bus();
    const seen = async () =>
      (await families(daemon)).get("machined_machine")?.samples.map(({ labels }) => labels["machine"]) ?? [];
    expect(await seen()).toEqual([]);
    await register(bus, "one", await daemon.leader());
    expect(await seen()).toEqual(["one"]);
    await register(bus, "two", await daemon.leader());
    await manager(bus, "UnregisterMachine", "s", "one");
    expect(await seen()).toEqual(["two"]);
  });

  test("other paths are 404, and invalid ports are refused", async () => {
    await using daemon = await TestDaemon.start();
    expect((await get(daemon, "/")).status).toBe(404);
    expect((await get(daemon, "/metrics/")).status).toBe(404);
    expect((await get(daemon, "/sd?port=0")).status).toBe(400);
    expect((await get(daemon, "/sd?port=x")).status).toBe(400);
  });

  test("the service discovery has the machines with an address", async () => {
    await using daemon = await TestDaemon.start();
    const bus = await daemon.bus();
    const leader = await daemon.leader("--net");
    const add = ["nsenter", "-t", String(leader), "-n", "ip", "addr", "add", "10.77.0.2/24", "dev", "lo"];
    expect(Bun.spawnSync(add).exitCode).toBe(0);
    await register(bus, "web", leader, { service: "test" });
    await register(bus, "host-network", await daemon.leader());
    const targets = await get(daemon, "/sd?port=9200");
    expect(targets.headers.get("Content-Type")).toBe("application/json");
    expect(await targets.json()).toEqual([
      { targets: ["10.77.0.2:9200"], labels: { machine: "web", class: "container", service: "test" } },
    ]);
  });

  test("machinectl prints the daemon's metrics, or writes them to a file that is replaced as a whole", async () => {
    await using daemon = await TestDaemon.start();
    await register(await daemon.bus(), "web", await daemon.leader());
    const run = (...words: string[]) => machinectl(daemon, "metrics", ...words);
    const printed = await run();
    expect(printed.code).toBe(0);
    expect(printed.stdout).toContain('machined_machine_info{machine="web",class="container",service="test"} 1\n');
    expect(printed.stdout).toContain("machined_build_info");
    const directory = join(daemon.runtime, "textfile");
    mkdirSync(directory);
    const file = join(directory, "machined.prom");
    writeFileSync(file, "old");
    const before = statSync(file).ino;
    expect(await run(file)).toMatchObject({ code: 0, stdout: "" });
    expect(readFileSync(file, "utf8")).toContain("machined_build_info");
    expect([statSync(file).ino !== before, (statSync(file).mode & 0o777).toString(8)]).toEqual([true, "644"]);
    expect(readdirSync(directory)).toEqual(["machined.prom"]);
    const failure = await run(join(directory, "missing/machined.prom"));
    expect([failure.code, failure.stderr]).toEqual([
      1,
      `Cannot write '${directory}/missing/machined.prom': No such file or directory\n`,
    ]);
  });

  test("without that socket machinectl measures the machines itself", async () => {
    await using daemon = await TestDaemon.start();
    await register(await daemon.bus(), "web", await daemon.leader("--net"));
    rmSync(join(daemon.runtime, "machine/metrics"));
    const { code, stdout } = await machinectl(daemon, "metrics");
    expect(code).toBe(0);
    expect(stdout).toContain('machined_machine_info{machine="web",class="container",service="test"} 1\n');
    expect(stdout).toContain('machined_machine_network_receive_bytes_total{machine="web"} 0\n');
    expect(stdout).not.toContain("machined_build_info");
  });

  test(
    `a second scrape of ${MANY} machines opens no files again, and simultaneous scrapes share one sample`,
    async () => {
      await using daemon = await TestDaemon.start();
      const bus = await daemon.bus();
      const leaders: Subprocess[] = [];
      try {
        for (let count = 0; count < MANY; count++) {
          leaders.push(Bun.spawn(["sleep", "100000"], { stdio: ["ignore", "ignore", "ignore"] }));
        }
        // Each machine has its own control group.
        for (const [index, { pid }] of leaders.entries()) await register(bus, `m${index}`, pid, { create: true });
        const scrape = async () => {
          const startMs = performance.now();
          const text = await (await get(daemon, "/metrics", OPENMETRICS)).text();
          const ms = performance.now() - startMs;
          return { all: parseOpenMetrics(text), ms, bytes: text.length };
        };
        const first = await scrape();
        expect(first.all.get("machined_machine")?.samples.length).toBe(MANY);
        const files = () => openDescriptors(daemon.pid);
        const before = files();
        const sampledAt = (all: typeof first.all) => valueIn(all, "machined_sample_timestamp_seconds{}");
        // Now the sample is too old, and the next scrape takes a new one.
        const second = await waitFor(async () => {
          const next = await scrape();
          if (sampledAt(next.all) === sampledAt(first.all)) throw new Error("the same sample");
          return next;
        }, "a second sample");
        expect(files()).toBeLessThan(before + MANY / 10);
        const together = await Promise.all(Array.from({ length: 10 }, scrape));
        expect(new Set(together.map(({ all }) => sampledAt(all))).size).toBeLessThanOrEqual(2);
        const duration = (all: typeof first.all) => valueIn(all, "machined_sample_duration_seconds{}") * 1000;
        const last = await scrape();
        const cpu = (all: typeof first.all) => valueIn(all, "machined_cpu_seconds_total{}") * 1000;
        const third = await waitFor(async () => {
          const next = await scrape();
          if (sampledAt(next.all) === sampledAt(second.all)) throw new Error("the same sample");
          return next;
        }, "a third sample");
        const fourth = await waitFor(async () => {
          const next = await scrape();
          if (sampledAt(next.all) === sampledAt(third.all)) throw new Error("the same sample");
          return next;
        }, "a fourth sample");
        const withSample = (one: typeof first) => `${one.ms.toFixed(0)} ms (sample ${duration(one.all).toFixed(0)} ms)`;
        console.log(
          `processors for a sample and its scrapes: ${(cpu(fourth.all) - cpu(third.all)).toFixed(0)} ms; ` +
            `scrapes of ${MANY} machines with their samples: ${withSample(first)}, ${withSample(second)}, ` +
            `${withSample(third)}, ${withSample(fourth)}; from the last sample ${last.ms.toFixed(1)} ms, ` +
            `${last.bytes} bytes; ` +
            `${before} descriptors`,
        );
      } finally {
        for (const leader of leaders) leader.kill("SIGKILL");
        await Promise.all(leaders.map(({ exited }) => exited));
      }
    },
    GUARD_MS,
  );
});
