import { expect, test } from "bun:test";
import { UTC } from "../../../../src/base/text/format.ts";
import type { WantedEvents } from "../../../../src/cli/events/wanted.ts";
import { formatFleetCursor, parseFleetCursor, Reader } from "../../../../src/cli/fleet/events.ts";
import { exitStatusIn } from "../../../../src/cli/fleet/exec.ts";
import { fleetInventory, fleetTargets } from "../../../../src/cli/fleet/inventory.ts";
import { fleetMachines } from "../../../../src/cli/fleet/list.ts";
import { placesOf } from "../../../../src/cli/fleet/places.ts";
import { printFleetList } from "../../../../src/cli/fleet/print.ts";
import { waitForOne } from "../../../../src/cli/fleet/wait.ts";
import { textCell } from "../../../../src/cli/format/table.ts";
import { NO_PAINT } from "../../../../src/cli/format/terminal.ts";
import type { Column } from "../../../../src/cli/list/column.ts";
import { planOf } from "../../../../src/cli/list/plan.ts";
import { defaultSettings, type Settings } from "../../../../src/cli/session/settings.ts";
import type { EventStart } from "../../../../src/fleet/client.ts";
import { FleetError } from "../../../../src/fleet/errors.ts";

const FACTS = { service: "s", os: "debian", version: "12", time: 1 };
const MACHINES = fleetMachines([
  { ...FACTS, host: "h2", machine: "db", class: "vm", addresses: [] },
  { ...FACTS, host: "h1.x", machine: "web", class: "container", addresses: ["fe80::1", "10.0.0.2"] },
]);

test("machines are named HOST/NAME and grouped by host", () => {
  expect(placesOf(["a/x", "b.c/y", "a/z", "a/x"], null)).toEqual([
    { host: "a", machines: ["x", "z"] },
    { host: "b.c", machines: ["y"] },
  ]);
  for (const word of ["x", "a/", "/x", "a/b/c", "a/*", "*/x", "events/x", "a/.host"])
    expect(() => placesOf([word], null)).toThrow(`'${word}' is not of the form HOST/NAME`);
  expect(() => placesOf(["a/x"], ["b"])).toThrow("not among those of -H");
});

test("a cursor of the fleet consists of the stream's identity and the number of the message in it", () => {
  const cursor = formatFleetCursor(1_795_875_474_067, 255);
  expect(parseFleetCursor(cursor)).toEqual({ createdMs: 1_795_875_474_067, sequence: 255 });
  for (const text of ["", "1", "1-", "-1", "b3d4a82dc01652fe-2-1f", "1-g"])
    expect(() => parseFleetCursor(text)).toThrow("no cursor of the fleet");
});

/** Reads over connections one after the other, none of which has an event; returns where each began to read. */
async function begun(wanted: object, streams: readonly { createdMs: number; first: number; sequence: number }[]) {
  const starts: EventStart[] = [];
  const all = { sinceUsec: null, untilUsec: null, cursor: null, follows: true, types: null, names: null };
  const session = { settings: defaultSettings(), terminal: {}, report: { warning: () => {} } };
  const reader = new Reader(session as never, { ...all, isNamed: () => true, ...wanted } as WantedEvents, null);
  for (const stream of streams) {
    const events = async function* (_host: string | null, start: EventStart) {
      starts.push(start);
      yield* [];
    };
    await reader.read({ streamState: async () => stream, events });
  }
  return starts.map((start) => (start.kind === "after" ? start.sequence : start.kind));
}

test("a connection that is lost before the first event changes nothing about where reading continues", async () => {
  const earlier = { createdMs: 10, first: 1, sequence: 50 };
  const later = { ...earlier, sequence: 90 };
  expect(await begun({}, [earlier, later])).toEqual([50, 50]);
  expect(await begun({ cursor: formatFleetCursor(10, 20) }, [earlier, later])).toEqual([20, 20]);
  expect(await begun({ sinceUsec: 1 }, [earlier, later])).toEqual(["since", "since"]);
  // Another stream has the name now, with numbers of its own.
  const other = { createdMs: 11, first: 1, sequence: 3 };
  expect(await begun({}, [earlier, other, other])).toEqual([50, 0, 0]);
  expect(await begun({ cursor: formatFleetCursor(9, 20) }, [earlier, later])).toEqual([0, 0]);
});

test("the inventory has a group for each class and each host, and ssh jumps over the machine's host", () => {
  const inventory = fleetInventory(MACHINES) as Record<string, unknown>;
  expect(inventory["host_h1_x"]).toEqual({ hosts: ["h1.x/web"] });
  expect(inventory["vms"]).toEqual({ hosts: ["h2/db"] });
  expect(inventory["_meta"]).toMatchObject({
    hostvars: { "h1.x/web": { ansible_host: "10.0.0.2", ansible_ssh_common_args: "-o ProxyJump=h1.x" } },
  });
});

test("Ansible does not evaluate what a host writes about its machines as a template", () => {
  const template = "{{ lookup('pipe', 'id') }}";
  const facts = { service: template, os: template, version: template, time: 1 };
  const record = { ...facts, host: "h", machine: "m", class: template, addresses: [template] };
  const text = JSON.stringify(fleetInventory(fleetMachines([record])));
  expect(text).toContain('"machined_os":""');
  expect(text).not.toContain("lookup");
  expect(text).not.toContain("ansible_host");
});

test("a value that is no exit status does not count as success", () => {
  expect([exitStatusIn("h", "0"), exitStatusIn("h", "255")]).toEqual([0, 255]);
  for (const text of ["", "x", "-1", "256", "1e2", "0x0", " 0", "NaN", "0".repeat(4)]) {
    expect(() => exitStatusIn("h", text)).toThrow(FleetError);
  }
});

test("targets have their host as a label; machines without an address are left out", () => {
  expect(fleetTargets(MACHINES, 9100)).toEqual([
    { targets: ["10.0.0.2:9100"], labels: { host: "h1.x", machine: "web", class: "container", service: "s" } },
  ]);
});

test("wait does not ask an agent again before the time that the agent was to wait", async () => {
  let asked = 0;
  const errors: string[] = [];
  const settings = { waitFor: "ended", timeoutMs: 300 };
  const report = { error: (text: string) => errors.push(text) };
  const fleet = { ask: async () => ({ status: 124, output: "", error: "", asked: asked++ }) };
  expect(await waitForOne({ settings, report } as never, fleet as never, "h", "m")).toBe(124);
  // A timer may fire a little early, and then less than a millisecond is left.
  expect(asked).toBeLessThanOrEqual(2);
  expect(errors).toEqual(["h/m: Not ended within the time"]);
});

test("wait -q reports neither that the time has passed nor a failure without a reason, and other failures", async () => {
  const errors: string[] = [];
  const report = { error: (text: string) => errors.push(text) };
  const settings = { waitFor: "ended", timeoutMs: 1, quiet: true };
  const statusOf = async (error: string, timeoutMs: number) => {
    const fleet = { ask: async () => ({ status: 1, output: "", error }) };
    return waitForOne({ settings: { ...settings, timeoutMs }, report } as never, fleet as never, "h", "m");
  };
  expect(await waitForOne({ settings, report } as never, {} as never, "h", "m", 0)).toBe(124);
  expect([await statusOf("\n", 0), await statusOf("No such machine\n", 0)]).toEqual([1, 1]);
  expect(errors).toEqual(["h: No such machine"]);
});

test("a list as JSON has an object for each host some of whose machines are missing", () => {
  const printed: string[] = [];
  const session = {
    settings: { ...defaultSettings(), json: "short" },
    output: { write: (text: string) => printed.push(text) },
    terminal: { paint: NO_PAINT },
  };
  const columns: Column<{ readonly host: string }>[] = [
    { key: "host", type: "text", description: "", isUsual: true, cell: ({ host }) => textCell(host) },
  ];
  const results = [
    { host: "h1", text: "", status: 0, error: null },
    { host: "h2", text: "", status: 1, error: "lost" },
  ];
  const form = { zone: UTC, nowUsec: 0n, mostLines: 1, noun: "machines", results };
  printFleetList(session as never, [{ host: "h1" }], planOf(session.settings as Settings, columns), form);
  expect(printed).toEqual(['[{"host":"h1"},{"host":"h2","error":"lost"}]\n']);
});
