// What `machinectl top` draws, given numbers and a size of the terminal.
import { expect, test } from "bun:test";
import { readTerminal } from "../../../../src/cli/format/terminal.ts";
import { machineScreen, ordered, sparkline, tableScreen, type View } from "../../../../src/cli/stats/screen.ts";
import { networkBytes } from "../../../../src/stats/meter.ts";
import type { Stats } from "../../../../src/stats/rates.ts";

const NONE: Stats = {
  machine: "",
  cpuPercent: null,
  cpuUsec: null,
  memoryBytes: null,
  memoryLimitBytes: null,
  swapBytes: null,
  tasks: null,
  readBytesPerSecond: null,
  writtenBytesPerSecond: null,
  receivedBytesPerSecond: null,
  sentBytesPerSecond: null,
  cpuPressure: null,
  memoryPressure: null,
  ioPressure: null,
};

const MACHINES: Stats[] = [
  { ...NONE, machine: "db", cpuPercent: 1, memoryBytes: 3 << 20, ioPressure: 40 },
  { ...NONE, machine: "web", cpuPercent: 99.96, memoryBytes: 1 << 20, receivedBytesPerSecond: 2048 },
  { ...NONE, machine: "idle", readBytesPerSecond: 1 },
];

function view(columns: number, rows: number, more: Partial<View> = {}): View {
  const terminal = readTerminal(
    { LANG: "C.UTF-8", TERM: "dumb" },
    { stdout: true, stderr: true, columns: () => columns },
  );
  const histories = new Map([["web", { cpuPercent: [0, 50, 100], memoryBytes: [1, 1, 1] }]]);
  return { stats: MACHINES, histories, order: "c", selected: null, rows, columns, terminal, ...more };
}

const names = (stats: readonly Stats[]) => stats.map(({ machine }) => machine);

test("lines are sorted by the chosen column, equal ones by name", () => {
  expect(names(ordered(MACHINES, "c"))).toEqual(["web", "db", "idle"]);
  expect(names(ordered(MACHINES, "m"))).toEqual(["db", "web", "idle"]);
  expect(names(ordered(MACHINES, "i"))).toEqual(["idle", "db", "web"]);
  expect(names(ordered(MACHINES, "n"))).toEqual(["web", "db", "idle"]);
  expect(names(ordered(MACHINES, "p"))).toEqual(["db", "idle", "web"]);
});

test("no line is wider than the terminal, and no screen is higher", () => {
  for (const [columns, rows] of [
    [80, 24],
    [200, 50],
    [50, 24],
    [40, 6],
    [120, 5],
  ] as const) {
    const lines = tableScreen(view(columns, rows));
    expect(lines.length).toBeLessThanOrEqual(rows);
    for (const line of lines) expect([line, Bun.stringWidth(line) <= columns]).toEqual([line, true]);
  }
});

test("on a narrow terminal the last columns are left out, and numbers and the key that quits stay whole", () => {
  const lines = tableScreen(view(50, 24));
  expect(lines[2]).toBe("  MACHINE  CPU% MEMORY LIMIT SWAP TASKS READ/S");
  expect(lines[3]).toBe("  web     100.0     1M     -    -     -      -");
  expect(lines.at(-1)).toBe("c CPU  m memory  i in/out  n network  q quit");
});

test("bars are drawn where the terminal is wide enough", () => {
  expect(tableScreen(view(200, 24)).join("\n")).toContain("▅█");
  expect(tableScreen(view(80, 24)).join("\n")).not.toContain("█");
});

test("the screen scrolls so that the selected machine is visible", () => {
  expect(tableScreen(view(80, 5, { selected: "idle" })).join("\n")).toContain("> idle");
});

test("the page of a machine has its numbers, and as many further lines as fit", () => {
  const [, web] = MACHINES;
  const page = (rows: number, more: string[], log: string[]) =>
    machineScreen(view(80, rows), web as Stats, { lines: more, log });
  const lines = page(16, ["one", "two", "three", "four"], []);
  expect(lines[0]).toBe("web");
  expect(lines).toContain("      CPU%  100.0");
  expect(lines).toHaveLength(16);
  // Below the head of 16 lines and above the line of keys.
  const details = (...given: Parameters<typeof page>) => page(...given).slice(16, -1);
  expect(details(40, ["one", "two"], ["log 1", "log 2"])).toEqual(["one", "two", "", "log 1", "log 2"]);
  expect(details(23, ["one", "two", "three", "four"], ["log 1", "log 2", "log 3"])).toEqual([
    ...["one", "two", "three", ""],
    ...["log 2", "log 3"],
  ]);
  expect(details(18, ["one", "two"], ["log 1"])).toEqual(["one"]);
});

test("the sum of the memory is unknown where that of no machine is known", () => {
  expect(tableScreen(view(80, 24))[0]).toBe("3 machines, CPU 101.0%, memory 4M, by CPU");
  const stats = MACHINES.map((one) => ({ ...one, memoryBytes: null }));
  expect(tableScreen(view(80, 24, { stats }))[0]).toBe("3 machines, CPU 101.0%, memory -, by CPU");
});

test("the height of a bar is its value's share of the greatest value", () => {
  expect(sparkline([0, 50, 100], 5, 100)).toBe("  ▁▅█");
  expect(sparkline([0, 0], 2, 1)).toBe("▁▁");
  expect(sparkline([1, 2, 3, 4], 2, 1)).toBe("▇█");
});

test("bytes of a network are those of all interfaces but the loopback", () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo: 1000 10 0 0 0 0 0 0 1000 10 0 0 0 0 0 0
 host0: 5000 10 0 0 0 0 0 0 700 10 0 0 0 0 0 0
  eth1:1 1 0 0 0 0 0 0 2 1 0 0 0 0 0 0
`;
  expect(networkBytes(text)).toEqual({ received: 5001, sent: 702 });
});
