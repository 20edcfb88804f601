// The fleet when a host, its agent, its daemon or the server fails. No event is lost or repeated.
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { jetstreamManager } from "@nats-io/jetstream";
import type { Subprocess } from "bun";
import type { BusClient } from "../../src/ipc/bus/client.ts";
import { manager, needsRoot, register, TestDaemon } from "../lib/daemon.ts";
import { followEvents, TestFleet } from "../lib/nats.ts";
import { havePrograms } from "../lib/programs.ts";
import { waitFor } from "../lib/wait-for.ts";

const has = havePrograms("the fleet when a part of it fails", "nats-server") && needsRoot === "";
const MACHINES = 500;

let fleet: TestFleet;
let daemon: TestDaemon;
let bus: BusClient;
let agent: Subprocess<"ignore", "ignore", "pipe">;
let leader: number;

/** The server's events of machines whose name begins with `prefix`, in the server's order. */
async function stored(prefix: string): Promise<string[]> {
  const nats = await fleet.connect("setup");
  const found: string[] = [];
  try {
    const api = await jetstreamManager(nats);
    const { state } = await api.streams.info("machined_events");
    for (let seq = Math.max(state.first_seq, 1); seq <= state.last_seq; seq++) {
      const { event, machine = "" } = (
        (await api.streams.getMessage("machined_events", { seq })) as { json(): { event: string; machine?: string } }
      ).json();
      if (machine.startsWith(prefix)) found.push(`${event} ${machine}`);
    }
    return found;
  } finally {
    await nats.close();
  }
}

/** Registers and unregisters machines, and returns the events that must follow. */
async function happen(prefix: string, count: number): Promise<string[]> {
  const expected: string[] = [];
  for (let number = 0; number < count; number++) {
    const name = `${prefix}${number}`;
    await register(bus, name, leader);
    await manager(bus, "UnregisterMachine", "s", name);
    expected.push(`started ${name}`, `ended ${name}`);
  }
  return expected;
}

async function hosts(): Promise<string[]> {
  const { stdout } = await fleet.machinectl("reader", "list", "--json=short");
  return (JSON.parse(stdout) as { host: string; machine: string }[]).map(({ host, machine }) => `${host}/${machine}`);
}

const started = () => fleet.agent("web1", daemon.runtime, { Ttl: "3s" });

/** The bytes of anonymous memory of a process. */
const ownBytes = (pid: number) =>
  Number(/^RssAnon:\s+(\d+) kB$/m.exec(readFileSync(join("/proc", String(pid), "status"), "utf8"))?.[1]) * 1024;

beforeAll(async () => {
  if (!has) return;
  [fleet, daemon] = await Promise.all([TestFleet.start("3s"), TestDaemon.start()]);
  bus = await daemon.bus();
  leader = await daemon.leader("--net");
  await register(bus, "lasting", await daemon.leader("--net"));
  agent = started();
  await waitFor(async () => expect(await hosts()).toEqual(["web1/lasting"]), "the record");
});

afterAll(async () => {
  await fleet?.[Symbol.asyncDispose]();
  await daemon?.[Symbol.asyncDispose]();
});

describe.skipIf(!has)(`the fleet${needsRoot}`, () => {
  test("a thousand events in a burst are all published, once and in order", async () => {
    const expected = await happen("burst", MACHINES);
    await waitFor(async () => expect(await stored("burst")).toEqual(expected), "the events");
  });

  test("when an agent is killed while events come, none is lost and none is published twice", async () => {
    const happening = happen("killed", 100);
    await waitFor(async () => expect((await stored("killed")).length).toBeGreaterThan(5), "the first events");
    agent.kill("SIGKILL");
    await agent.exited;
    const expected = await happening;
    agent = started();
    await waitFor(async () => expect(await stored("killed")).toEqual(expected), "the events");
  });

  test("after a daemon was restarted, its events and records are still published", async () => {
    await daemon.kill();
    await daemon.run();
    bus = await daemon.bus();
    const expected = await happen("anew", 3);
    await waitFor(async () => expect(await stored("anew")).toEqual(expected), "the events");
    await waitFor(async () => expect(await hosts()).toEqual(["web1/lasting"]), "the record");
  });

  test("after the server was killed nothing is lost: the agent reconnects, and a reader continues after its last event", async () => {
    const reader = fleet.begin([
      "machinectl",
      `--fleet=${fleet.conf("reader")}`,
      "events",
      "--json=short",
      "lost*",
      "first",
    ]);
    const events = followEvents(reader);
    const names = () => events().map(({ event, machine }) => `${event} ${machine}`);
    // Events before the reader has subscribed are not sent to it.
    await waitFor(async () => {
      await happen("first", 0);
      await register(bus, "first", leader);
      await manager(bus, "UnregisterMachine", "s", "first");
      expect(names().length).toBeGreaterThan(0);
    }, "the reader");
    // The reader reconnects only after the events have been published.
    reader.kill("SIGSTOP");
    await fleet.signalServer("SIGKILL");
    const expected = await happen("lost", 50);
    await fleet.runServer();
    await waitFor(async () => expect(await stored("lost")).toEqual(expected), "the events");
    reader.kill("SIGCONT");
    await waitFor(() => expect(names().filter((name) => name.includes("lost"))).toEqual(expected), "what is read");
    await waitFor(async () => expect(await hosts()).toEqual(["web1/lasting"]), "the record");
    const cursor = events().find(({ machine }) => machine === "lost0")?.cursor;
    const later = await fleet.machinectl("reader", "events", "--no-follow", `--after-cursor=${cursor}`, "lost*");
    expect(later.stdout.trimEnd().split("\n").length).toBe(expected.length - 1);
    reader.kill();
    expect(await reader.exited).toBe(0);
  });

  test("a server that stops reading does not make the agent's memory grow, and no event is lost", async () => {
    const before = ownBytes(agent.pid);
    await fleet.signalServer("SIGSTOP");
    const expected = await happen("stopped", MACHINES);
    expect(ownBytes(agent.pid) - before).toBeLessThan(64 << 20);
    await fleet.signalServer("SIGCONT");
    await waitFor(async () => expect(await stored("stopped")).toEqual(expected), "the events");
  });

  test("a host that fails disappears from lists after its time to live", async () => {
    agent.kill("SIGKILL");
    await agent.exited;
    expect((await fleet.machinectl("reader", "status", "web1/lasting")).stderr).toContain("has no agent in the fleet");
    await waitFor(async () => expect(await hosts()).toEqual([]), "the end of the record");
    agent = started();
    await waitFor(async () => expect(await hosts()).toEqual(["web1/lasting"]), "the record");
    agent.kill("SIGTERM");
    expect(await agent.exited).toBe(0);
  });
});
