// The fleet on a cluster of three nats-servers, when the server that leads a stream fails: lists, events, waits and
// actions continue, and no event is lost or repeated. It takes two minutes, because servers choose a leader for
// seconds.
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "bun:test";
import { jetstreamManager } from "@nats-io/jetstream";
import type { Subprocess } from "bun";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import { manager, needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { followEvents } from "../lib/nats.ts";
import { TestCluster } from "../lib/nats-cluster.ts";
import { havePrograms } from "../lib/programs.ts";
import { GUARD_MS, waitFor } from "../lib/wait-for.ts";

const has = havePrograms("the fleet on a cluster", "nats-server") && needsRoot === "";
const EVENTS = "machined_events";
const MACHINES = "KV_machined_machines";

let cluster: TestCluster;
let daemon: TestDaemon;
let bus: BusClient;
let agent: Subprocess<"ignore", "pipe", "pipe">;
let agentLog = "";
let leader: number;
/** How many agents describe the daemon: each of its machines is as often in the list. */
let agents = 1;

async function listed(...options: readonly string[]): Promise<string> {
  const { stdout, stderr, status } = await cluster.machinectl("list", "--no-legend", "--columns=machine", ...options);
  expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
  return stdout.trim().split("\n").join(" ");
}

/** The events that are stored for machines whose names begin with `prefix`, in their order. */
async function stored(prefix: string): Promise<string[]> {
  const nats = await cluster.connect();
  const found: string[] = [];
  try {
    const api = await jetstreamManager(nats);
    const { state } = await api.streams.info(EVENTS);
    for (let seq = Math.max(state.first_seq, 1); seq <= state.last_seq; seq++) {
      const message = await api.direct.getMessage(EVENTS, { seq });
      const { event, machine = "" } = JSON.parse(message?.string() ?? "{}") as { event: string; machine?: string };
      if (machine.startsWith(prefix)) found.push(`${event} ${machine}`);
    }
    return found;
  } finally {
    await nats.close();
  }
}

/** The shortest time between two machines: they come and go evenly, and not all before the failure. */
const PACE_MS = 50;

/** Registers and unregisters machines until `isOver`; returns the events that must follow. */
async function happen(prefix: string, isOver: () => boolean): Promise<string[]> {
  const expected: string[] = [];
  for (let number = 0; !isOver(); number++) {
    const name = `${prefix}${number}`;
    const since = performance.now();
    await register(bus, name, leader);
    await manager(bus, "UnregisterMachine", "s", name);
    expected.push(`started ${name}`, `ended ${name}`);
    await waitFor(() => expect(performance.now() - since).toBeGreaterThan(PACE_MS), "the pace");
  }
  return expected;
}

async function killLeader(stream: string): Promise<void> {
  await cluster.signalServer(await cluster.leader(stream), "SIGKILL");
}

async function untilLed(stream: string): Promise<void> {
  await waitFor(async () => expect(await cluster.leader(stream)).not.toBe(""), `a leader of ${stream}`);
}

/** Starts the servers that were killed, and waits until all have the same. */
async function reviveAll(): Promise<void> {
  cluster.runDead();
  await waitFor(async () => {
    const nats = await cluster.connect();
    try {
      const api = await jetstreamManager(nats);
      for (const stream of [EVENTS, MACHINES, "KV_machined_hosts"]) {
        const { cluster: state } = await api.streams.info(stream);
        expect(state?.replicas?.map(({ current, offline = false }) => current && !offline)).toEqual([true, true]);
      }
    } finally {
      await nats.close();
    }
  }, "three equal servers");
}

beforeAll(async () => {
  if (!has) return;
  [cluster, daemon] = await Promise.all([TestCluster.start("10min"), TestDaemon.start()]);
  bus = await daemon.bus();
  leader = await daemon.leader("--net");
  await register(bus, "deb1", await daemon.leader("--net"));
  agent = cluster.agent("web1", daemon.runtime, "--ttl=10min");
  void (async () => {
    for await (const chunk of agent.stderr) agentLog += Buffer.from(chunk).toString();
  })();
  await waitFor(async () => expect(await listed()).toBe("deb1"), "the record");
}, GUARD_MS);

afterAll(async () => {
  await cluster?.[Symbol.asyncDispose]();
  await daemon?.[Symbol.asyncDispose]();
});

describe.skipIf(!has)(`the fleet on a cluster${needsRoot}`, () => {
  beforeEach(reviveAll, GUARD_MS);

  test(
    "when the server that leads the events is killed, none is lost or repeated, and lists and requests continue",
    async () => {
      const reader = cluster.begin(["machinectl", `--fleet=${cluster.urls()}`, "events", "--json=short", "a*"]);
      const events = followEvents(reader);
      const read = () => events().map(({ event, machine }) => `${event} ${machine}`);
      await waitFor(async () => {
        await register(bus, "afirst", leader);
        await manager(bus, "UnregisterMachine", "s", "afirst");
        expect(read().length).toBeGreaterThan(0);
      }, "the reader");
      let isOver = false;
      const happening = happen("all", () => isOver);
      const waiting = cluster.machinectl("wait", "--for=ended", "web1/deb1");
      await killLeader(EVENTS);
      expect(await listed()).toContain("deb1");
      expect((await cluster.machinectl("status", "web1/deb1")).stderr).toBe("");
      await untilLed(EVENTS);
      isOver = true;
      const expected = await happening;
      await waitFor(async () => expect(await stored("all")).toEqual(expected), "the events");
      await waitFor(() => expect(read().filter((one) => !one.includes("afirst"))).toEqual(expected), "what is read");
      const { status, stderr } = await cluster.machinectl("terminate", "web1/deb1");
      expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
      expect(await waiting).toMatchObject({ status: 0, stderr: "" });
      reader.kill();
      expect(await reader.exited).toBe(0);
    },
    GUARD_MS,
  );

  test(
    "machines that start and end while no server leads their records are in the list and gone from it",
    async () => {
      await register(bus, "before", await daemon.leader("--net"));
      await waitFor(async () => expect(await listed()).toContain("before"), "the record");
      await killLeader(MACHINES);
      await register(bus, "meanwhile", await daemon.leader("--net"));
      await manager(bus, "UnregisterMachine", "s", "before");
      await untilLed(MACHINES);
      await waitFor(async () => expect(await listed()).toBe("meanwhile"), "the records");
    },
    GUARD_MS,
  );

  test(
    "an agent keeps its connection, and with it running requests, when another server fails",
    async () => {
      const name = await cluster.leader(EVENTS);
      const others = cluster.urls(...cluster.names.filter((one) => one !== name));
      const host = cluster.agent("web2", daemon.runtime, `--url=${others}`, "--ttl=10min");
      let log = "";
      void (async () => {
        for await (const chunk of host.stderr) log += Buffer.from(chunk).toString();
      })();
      await waitFor(() => expect(log).toContain("In the fleet as 'web2'"), "the agent");
      agents = 2;
      await register(bus, "lasting", await daemon.leader("--net"));
      const waiting = cluster.begin(["machinectl", `--fleet=${others}`, "wait", "--for=ended", "web2/lasting"]);
      await cluster.signalServer(name, "SIGKILL");
      await register(bus, "more", leader);
      await untilLed(EVENTS);
      await waitFor(async () => expect((await stored("more")).length).toBeGreaterThan(0), "the event");
      await manager(bus, "UnregisterMachine", "s", "more");
      await manager(bus, "UnregisterMachine", "s", "lasting");
      expect(await waiting.exited).toBe(0);
      expect(log.match(/In the fleet as/g)?.length).toBe(1);
    },
    GUARD_MS,
  );

  test(
    "a list is complete or an error when its server fails while it is read",
    async () => {
      const names = Array.from({ length: 20 }, (_, number) => `many${number}`);
      for (const name of names) await register(bus, name, await daemon.leader());
      await waitFor(
        async () => expect((await listed("--filter=machine=many*")).split(" ").length).toBe(20 * agents),
        "the records",
      );
      for (const name of cluster.names) {
        const options = ["list", "--no-legend", "--columns=machine", "--filter=machine=many*"];
        const lists = Array.from({ length: 4 }, () => cluster.machinectl(...options));
        await cluster.signalServer(name, "SIGKILL");
        for (const list of lists) {
          const { stdout, stderr, status } = await list;
          // Servers that are busy may choose a leader for longer than lists wait.
          if (status === 0) expect(stdout.trim().split("\n").length).toBe(20 * agents);
          else expect(stderr).toMatch(/Cannot read the records|missing on the server/);
        }
        await reviveAll();
      }
      for (const name of names) await manager(bus, "UnregisterMachine", "s", name);
      expect(agentLog).not.toContain("Error");
    },
    GUARD_MS,
  );
});
