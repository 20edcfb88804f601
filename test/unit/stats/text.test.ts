// The two text formats, and how the Accept header selects one.
import { expect, test } from "bun:test";
import { DAEMON_METRICS } from "../../../src/stats/daemon-metrics.ts";
import { MACHINE_METRICS } from "../../../src/stats/machine-metrics.ts";
import { type DaemonSource, type MachineSource, sampleName } from "../../../src/stats/metrics.ts";
import { acceptedFormat, metricsText } from "../../../src/stats/text.ts";
import { parseOpenMetrics, valueIn } from "../../lib/openmetrics.ts";

const USAGE: MachineSource["usage"] = {
  cpuUsec: 1_234_567,
  memoryBytes: 4096,
  memoryLimitBytes: null,
  swapBytes: 0,
  tasks: 3,
  readBytes: 10,
  writtenBytes: 20,
  receivedBytes: 30,
  sentBytes: 40,
  cpuPressure: 1,
  memoryPressure: 2,
  ioPressure: 3,
  cpuPressureUsec: 300_000,
  memoryPressureUsec: 0,
  ioPressureUsec: 7,
};

const MACHINES: MachineSource[] = [
  { name: "web", class: "container", service: 'a"b\\c\nd', startedSeconds: 1.5, usage: USAGE },
  {
    name: "vm",
    class: "vm",
    service: "",
    startedSeconds: null,
    usage: { ...USAGE, receivedBytes: null, cpuUsec: null },
  },
];

const DAEMON: DaemonSource = {
  version: "1.2.3",
  machines: MACHINES,
  sampledSeconds: 1_795_828_416.674,
  samplingSeconds: 0.01,
  calls: [{ interface: "a.b", method: "Get", calls: 6, errors: 1 }],
  durationBounds: [0.5, 1],
  durations: [{ interface: "a.b", counts: [3, 2, 1], sumSeconds: 2.5000001 }],
  operations: 0,
  connections: 1,
  streams: 0,
  cpuSeconds: 0.25,
  residentBytes: 1 << 20,
  openFiles: 17,
  mostOpenFiles: Number.POSITIVE_INFINITY,
  startedSeconds: 1_795_828_400,
};

test("the OpenMetrics text is valid and has all metrics with their values", () => {
  const families = parseOpenMetrics(metricsText(MACHINES, DAEMON, "openmetrics"));
  expect([...families.keys()].sort()).toEqual(
    [...MACHINE_METRICS, ...DAEMON_METRICS]
      .map(({ name }) => name)
      .filter((name) => name !== "machined_machine_memory_limit_bytes")
      .sort(),
  );
  expect(valueIn(families, 'machined_machine_info{class="container",machine="web",service="a\\"b\\\\c\\nd"}')).toBe(1);
  expect(valueIn(families, 'machined_machine_cpu_seconds_total{machine="web"}')).toBe(1.234567);
  expect(valueIn(families, 'machined_machine_pressure_waiting_seconds_total{machine="web",resource="cpu"}')).toBe(0.3);
  expect(valueIn(families, 'machined_call_duration_seconds_bucket{interface="a.b",le="1.0"}')).toBe(5);
  expect(valueIn(families, 'machined_call_duration_seconds_count{interface="a.b"}')).toBe(6);
  expect(valueIn(families, 'machined_calls_total{interface="a.b",method="Get"}')).toBe(6);
  expect(valueIn(families, 'machined_call_errors_total{interface="a.b",method="Get"}')).toBe(1);
  expect(valueIn(families, 'machined_machines{class="vm"}')).toBe(1);
  expect(valueIn(families, "machined_max_fds{}")).toBe(Number.POSITIVE_INFINITY);
});

test("both formats have the same series", () => {
  const lines = (format: "text" | "openmetrics") =>
    metricsText(MACHINES, DAEMON, format)
      .split("\n")
      .filter((line) => !line.startsWith("#"));
  expect(lines("text")).toEqual(lines("openmetrics"));
});

test("unknown values are left out, and a metric without values has no HELP and TYPE", () => {
  const text = metricsText(MACHINES, null, "text");
  expect(text).not.toContain("memory_limit");
  expect(text).not.toContain("machined_build");
  expect(text).not.toContain('machined_machine_cpu_seconds_total{machine="vm"}');
  expect(text).not.toContain("null");
  expect(metricsText([], null, "text")).toBe("");
  expect(metricsText([], null, "openmetrics")).toBe("# EOF\n");
});

test("the older format names metrics like their samples, and has gauges in place of infos", () => {
  const text = metricsText(MACHINES, null, "text");
  expect(text).toContain("# TYPE machined_machine_cpu_seconds_total counter\n");
  expect(text).toContain("# TYPE machined_machine_info gauge\n");
  expect(text).not.toContain("# UNIT");
  expect(text).not.toContain("# EOF");
});

test("names of metrics end with the unit, and the table has every label that a line has", () => {
  for (const { name, unit } of [...MACHINE_METRICS, ...DAEMON_METRICS]) {
    expect(name).toMatch(/^machined_[a-z_]+$/);
    if (unit !== undefined) expect(name).toEndWith(`_${unit}`);
  }
  const families = parseOpenMetrics(metricsText(MACHINES, DAEMON, "openmetrics"));
  for (const metric of [...MACHINE_METRICS, ...DAEMON_METRICS]) {
    for (const { name, labels } of families.get(metric.name)?.samples ?? []) {
      const { le: _le, ...own } = labels;
      expect([name, Object.keys(own)]).toEqual([name, [...metric.labels]]);
      expect(name.startsWith(metric.kind === "histogram" ? metric.name : sampleName(metric))).toBe(true);
    }
  }
});

test.each([
  ["", "text"],
  ["*/*", "text"],
  ["text/plain;version=0.0.4;q=0.5,*/*;q=0.1", "text"],
  ["application/openmetrics-text", "openmetrics"],
  ["application/openmetrics-text; version=1.0.0; charset=utf-8", "openmetrics"],
  [
    "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
    "openmetrics",
  ],
  ["application/openmetrics-text;version=0.0.1,text/plain;q=0.5", "text"],
  ["application/openmetrics-text;version=2.0.0", "text"],
  ["text/plain, application/openmetrics-text;q=0.9", "text"],
  ['text/plain;q=0.3, APPLICATION/OpenMetrics-Text;Version="1.0.0";Q=0.9', "openmetrics"],
  ["application/openmetrics-text;q=nonsense", "text"],
  ["application/vnd.google.protobuf;q=1", "text"],
  [";;,,==", "text"],
])("Accept: %s → %s", (accept, format) => {
  expect<string>(acceptedFormat(accept)).toBe(format);
});

test("the parser of the tests refuses invalid OpenMetrics", () => {
  for (const text of [
    "",
    "# TYPE a gauge\na 1\n",
    "a 1\n# EOF\n",
    "# TYPE a gauge\na 1\na 2\n# EOF\n",
    "# TYPE a counter\na 1\n# EOF\n",
    "# TYPE a counter\na_total -1\n# EOF\n",
    "# TYPE a gauge\na{x=1} 1\n# EOF\n",
    '# TYPE a gauge\na{x="1",} 1\n# EOF\n',
    '# TYPE a gauge\na{x="\\t"} 1\n# EOF\n',
    "# TYPE a gauge\na null\n# EOF\n",
    "# TYPE a gauge\n# UNIT a seconds\na 1\n# EOF\n",
    "# TYPE a gauge\na 1\n# TYPE b gauge\nb 1\n# HELP a x\n# EOF\n",
    '# TYPE a histogram\na_bucket{le="1.0"} 2\na_bucket{le="+Inf"} 1\na_count 1\na_sum 1\n# EOF\n',
    '# TYPE a histogram\na_bucket{le="1"} 1\na_bucket{le="+Inf"} 1\na_count 1\na_sum 1\n# EOF\n',
  ]) {
    expect(() => parseOpenMetrics(text)).toThrow("Not OpenMetrics");
  }
});
