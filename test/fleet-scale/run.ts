// A fleet in one machine: a nats-server, many simulated hosts that write records with the code of the agent, each over
// a connection of its own, and one real daemon with a real agent. Prints the figures of docs/fleet.md.
//   npm run test:fleet-scale -- --hosts=5000 --machines=20 --seconds=30
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { FleetClient } from "../../src/fleet/client.ts";
import { connectFleet } from "../../src/fleet/connect.ts";
import type { MachineRecord } from "../../src/fleet/record.ts";
import { DEFAULTS } from "../../src/fleet/settings.ts";
import { setUpStreams } from "../../src/fleet/streams.ts";
import { RecordWriter } from "../../src/fleetd/records.ts";
import { register, TestDaemon } from "../lib/daemon.ts";
import { waitFor } from "../lib/wait-for.ts";

const { values } = parseArgs({
  options: {
    hosts: { type: "string", default: "5000" },
    machines: { type: "string", default: "20" },
    seconds: { type: "string", default: "30" },
    ttl: { type: "string", default: "30" },
    port: { type: "string", default: "14999" },
    simulators: { type: "string", default: "2" },
    /** Of a simulator: the numbers of its first host and of the one after its last. */
    from: { type: "string" },
    to: { type: "string" },
  },
});
const HOSTS = Number(values.hosts);
const MACHINES = Number(values.machines);
const SECONDS = Number(values.seconds);
const TTL_MS = Number(values.ttl) * 1000;
const REPEATS = 5;
const RETRY_MS = 2000;
/** The time between the starts of two hosts of a simulator. */
const JOIN_MS = 3;
const TICKS = 100;
const SIMULATORS = Number(values.simulators);
const simulators: Bun.Subprocess[] = [];
const EXECUTABLE = join(import.meta.dir, "../../dist/machined");

const settings = { ...DEFAULTS, urls: [`nats://127.0.0.1:${values.port}`], ttlMs: TTL_MS };
const quiet = { info: () => {}, warning: console.error, debug: () => {} };

function say(what: string, figure: string): void {
  console.log(`${what.padEnd(58)} ${figure}`);
}

/** The seconds of CPU time that a process has used. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
    .replace(/^.*\) /, "")
    .split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** The memory of a process in MiB: all of it, and the part that is not backed by files. */
function memory(pid: number): string {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const field = (name: string) => (Number(new RegExp(`^${name}:\\s+(\\d+)`, "m").exec(status)?.[1]) / 1024).toFixed(1);
  return `${field("VmRSS")} MiB, ${field("RssAnon")} MiB of its own`;
}

function recordsOf(host: string): MachineRecord[] {
  return Array.from({ length: MACHINES }, (_, number) => ({
    ...{
      host,
      machine: `machine-${number}`,
      class: "container",
      service: "systemd-nspawn",
      os: "debian",
      version: "12",
    },
    addresses: ["10.0.0.7", "192.168.89.71", "fe80::f8b9:2bff:fe5a:1d52"],
    time: Date.now() * 1000,
  }));
}

/** A simulated host: the agent's writer with made-up machines; it does not end. */
async function simulate(number: number): Promise<void> {
  const host = `host-${number}`;
  const facts = { host, bootId: "0".repeat(32), agent: "0", allow: ["read"] };
  const source = {
    hostName: host,
    machines: async () => recordsOf(host),
    host: (names: readonly string[]) => ({ ...facts, machines: names.length, names, time: Date.now() * 1000 }),
    usec: () => Date.now() * 1000,
    written: () => {},
    refused: () => {},
  };
  for (;;) {
    const nats = await connectFleet(settings, host).catch(() => null);
    try {
      if (nats !== null) await new RecordWriter(nats, source, TTL_MS, quiet).run();
    } catch (error) {
      process.stderr.write(`A host was lost: ${error}\n`);
    }
    await nats?.close();
    await Bun.sleep(RETRY_MS * (0.5 + Math.random()));
  }
}

/** The simulated hosts of this process. They start one after the other, as booting hosts do. */
async function simulateAll(from: number, to: number): Promise<never> {
  for (let number = from; number < to; number++) {
    void simulate(number);
    await Bun.sleep(JOIN_MS);
  }
  return new Promise(() => {});
}

async function timed(act: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await act();
  return performance.now() - began;
}

function middle(figures: number[]): string {
  return `${(figures.sort((a, b) => a - b)[REPEATS >> 1] as number).toFixed(0)} ms`;
}

/** The median time of some runs and, where `act` returns it, of their CPU time. */
async function median(act: () => Promise<number>): Promise<string> {
  const [times, used]: [number[], number[]] = [[], []];
  for (let count = 0; count < REPEATS; count++) times.push(await timed(async () => void used.push(await act())));
  return `${middle(times)}${used.every((ms) => ms > 0) ? `, ${middle(used)} of a processor` : ""}`;
}

/** Runs machinectl; returns the milliseconds of CPU time that it used. */
async function machinectl(...args: string[]): Promise<number> {
  const env = { PATH: process.env["PATH"] ?? "", MACHINED_FLEET: settings.urls[0] as string };
  const child = Bun.spawn([EXECUTABLE, "machinectl", "--fleet", ...args], {
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  await child.exited;
  return Number(child.resourceUsage()?.cpuTime.total ?? 0) / 1000;
}

async function realHost(server: number): Promise<void> {
  await using daemon = await TestDaemon.start();
  const bus = await daemon.bus();
  const last = await daemon.leader();
  for (let number = 0; number < MACHINES; number++) await register(bus, `real-${number}`, await daemon.leader());
  const args = ["fleet", `--url=${settings.urls[0]}`, "--host=real", `--ttl=${values.ttl}s`];
  const env = { PATH: process.env["PATH"] ?? "", MACHINED_RUNTIME_DIRECTORY: daemon.runtime };
  const agent = Bun.spawn([EXECUTABLE, ...args], { env, stdio: ["ignore", "ignore", "inherit"] });
  const fleet = await FleetClient.open(settings);
  try {
    await waitFor(async () => {
      if ((await fleet.machines(["real"])).machines.length < MACHINES) throw new Error("not there yet");
    }, "the real host");
    const seen = Promise.withResolvers<number>();
    const { sequence } = await fleet.streamState();
    void (async () => {
      for await (const { host, fields } of fleet.events(null, { kind: "after", sequence }, true)) {
        if (host === "real" && fields["machine"] === "late") seen.resolve(performance.now());
      }
    })().catch(() => {});
    await fleet.nats.flush();
    const began = performance.now();
    await register(bus, "late", last);
    say("a machine starts: its event is read after", `${((await seen.promise) - began).toFixed(0)} ms`);
    const [before, serverBefore] = [cpuSeconds(agent.pid), cpuSeconds(server)];
    const waited = await timed(() => Bun.sleep(SECONDS * 1000));
    const share = (used: number) => `${((used / waited) * 1e5).toFixed(1)} % of a core`;
    say(`a real agent with ${MACHINES} machines`, `${share(cpuSeconds(agent.pid) - before)}, ${memory(agent.pid)}`);
    say("nats-server", `${share(cpuSeconds(server) - serverBefore)}, ${memory(server)}`);
  } finally {
    await fleet.close();
    agent.kill();
    await agent.exited;
  }
}

async function main(server: number): Promise<void> {
  await waitFor(async () => (await connectFleet(settings, "scale")).close(), "the server");
  const nats = await connectFleet(settings, "scale");
  await setUpStreams(nats, { ttlMs: TTL_MS, replicas: 1, mostBytes: -1 });
  say(
    "machine",
    `${cpus().length} × ${cpus()[0]?.model.trim()}, Linux ${(await Bun.file("/proc/sys/kernel/osrelease").text()).trim()}`,
  );
  say("simulated", `${HOSTS} hosts × ${MACHINES} machines, time to live ${values.ttl} s`);
  const joined = await timed(async () => {
    for (let number = 0; number < SIMULATORS; number++) {
      const share = (index: number) => String(Math.round((HOSTS * index) / SIMULATORS));
      const args = [`--from=${share(number)}`, `--to=${share(number + 1)}`, ...process.argv.slice(2)];
      simulators.push(
        Bun.spawn([process.execPath, import.meta.path, ...args], { stdio: ["ignore", "ignore", "inherit"] }),
      );
    }
    await waitFor(async () => {
      const fleet = await FleetClient.open(settings);
      const { length } = await fleet.hosts().finally(() => fleet.close());
      if (length < HOSTS) throw new Error(`${length} hosts are there`);
    }, "all hosts");
  });
  say("all hosts have joined after", `${(joined / 1000).toFixed(1)} s`);
  say("machinectl --fleet list", await median(() => machinectl("list")));
  say("machinectl --fleet list --json=short", await median(() => machinectl("list", "--json=short")));
  say("machinectl --fleet -H host-17 list", await median(() => machinectl("-H", "host-17", "list")));
  const fleet = await FleetClient.open(settings);
  const { machines, incomplete } = await fleet.machines(null);
  say("machines in the list", `${machines.length}; ${incomplete.length} hosts are incomplete`);
  say("one host over a connection that is there", await median(() => fleet.machines(["host-17"]).then(() => 0)));
  await fleet.close();
  if (process.geteuid?.() === 0) await realHost(server);
  else console.log("left out: a real host: needs root");
  const hosts = await FleetClient.open(settings).then((client) => client.hosts().finally(() => client.close()));
  say("hosts that are there at the end", String(hosts.length));
}

if (values.from !== undefined) await simulateAll(Number(values.from), Number(values.to));
const directory = mkdtempSync(join(tmpdir(), "machined-fleet-scale-"));
writeFileSync(
  join(directory, "nats.conf"),
  `listen: "127.0.0.1:${values.port}"\njetstream: { store_dir: "${directory}" }\n`,
);
const server = Bun.spawn(["nats-server", "-c", join(directory, "nats.conf"), "-l", join(directory, "log")]);
let status = 0;
try {
  await main(server.pid);
} catch (error) {
  console.error(error);
  status = 1;
}
for (const simulator of simulators) simulator.kill("SIGKILL");
server.kill("SIGKILL");
await server.exited;
rmSync(directory, { recursive: true, force: true });
process.exit(status);
