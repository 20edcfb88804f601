// The metrics that Prometheus can have: names, types, meaning and where each number is from. docs/metrics.md is generated
// from these tables. Names follow https://prometheus.io/docs/practices/naming/; all begin with `machined_`, also those
// of the process, because the textfile collector of the node exporter has `process_…` of its own.
import type { Usage } from "./meter.ts";

/** A number for each machine, or each service. */
type MetricKind = "counter" | "gauge" | "info" | "histogram";

export type Labels = Readonly<Record<string, string>>;

/** One number of a metric. */
interface Series<Source> {
  /** Labels beside those of the source. */
  readonly labels?: Labels;
  /** Null where it is not known: then there is no such line. */
  value(source: Source): number | null;
}

/** One value with its labels; a part of a histogram has a suffix. */
interface LabelledValue {
  readonly suffix?: "_bucket" | "_sum" | "_count";
  readonly labels: Labels;
  readonly value: number;
}

interface MetricHead {
  /** Without the `_total` of counters and the `_info` of infos. */
  readonly name: string;
  readonly kind: MetricKind;
  readonly unit?: "seconds" | "bytes";
  readonly help: string;
  /** The names of all labels. */
  readonly labels: readonly string[];
}

/** A metric of machines: each line has the machine's name as a label. */
export interface MachineMetric extends MetricHead {
  readonly series: readonly Series<MachineSource>[];
  /** Labels that the machine has beside its name. */
  readonly more?: (machine: MachineSource) => Labels;
}

/** A metric of the daemon. */
export interface DaemonMetric extends MetricHead {
  values(daemon: DaemonSource): Iterable<LabelledValue>;
}

/** A machine, as metrics need it. */
export interface MachineSource {
  readonly name: string;
  readonly class: string;
  readonly service: string;
  /** Since 1970; null where it is not known. */
  readonly startedSeconds: number | null;
  readonly usage: Usage;
}

/** The daemon, as metrics need it. */
export interface DaemonSource {
  readonly version: string;
  readonly machines: readonly MachineSource[];
  readonly sampledSeconds: number;
  readonly samplingSeconds: number;
  readonly calls: readonly {
    readonly interface: string;
    readonly method: string;
    readonly calls: number;
    readonly errors: number;
  }[];
  /** Upper bounds of the classes of durations. */
  readonly durationBounds: readonly number[];
  readonly durations: readonly {
    readonly interface: string;
    readonly counts: readonly number[];
    readonly sumSeconds: number;
  }[];
  readonly operations: number;
  readonly connections: number;
  readonly streams: number;
  readonly cpuSeconds: number;
  readonly residentBytes: number;
  readonly openFiles: number;
  readonly mostOpenFiles: number;
  readonly startedSeconds: number;
}

function seconds(usec: number | null): number | null {
  // Divided, not multiplied: the nearest number that has six digits, not 0.30000000000000004.
  return usec === null ? null : usec / 1e6;
}

function ofMachine(
  head: Omit<MachineMetric, "labels" | "series">,
  value: (usage: Usage, machine: MachineSource) => number | null,
): MachineMetric {
  return { ...head, labels: ["machine"], series: [{ value: (machine) => value(machine.usage, machine) }] };
}

function ofResources(
  head: Omit<MachineMetric, "labels" | "series">,
  resources: Readonly<Record<string, (usage: Usage) => number | null>>,
): MachineMetric {
  const series = Object.entries(resources).map(([resource, value]) => ({
    labels: { resource },
    value: ({ usage }: MachineSource) => value(usage),
  }));
  return { ...head, labels: ["machine", "resource"], series };
}

/** Of each machine. */
export const MACHINE_METRICS: readonly MachineMetric[] = [
  {
    name: "machined_machine",
    kind: "info",
    help: "What a machine is; always 1.",
    labels: ["machine", "class", "service"],
    series: [{ value: () => 1 }],
    more: (machine) => ({ class: machine.class, service: machine.service }),
  },
  ofMachine(
    {
      name: "machined_machine_start_time_seconds",
      kind: "gauge",
      unit: "seconds",
      help: "When the machine was registered, since 1970.",
    },
    (_usage, { startedSeconds }) => startedSeconds,
  ),
  ofMachine(
    {
      name: "machined_machine_cpu_seconds",
      kind: "counter",
      unit: "seconds",
      help: "Time of processors that the machine's unit has used.",
    },
    ({ cpuUsec }) => seconds(cpuUsec),
  ),
  ofMachine(
    {
      name: "machined_machine_memory_bytes",
      kind: "gauge",
      unit: "bytes",
      help: "Memory in use, caches included.",
    },
    ({ memoryBytes }) => memoryBytes,
  ),
  ofMachine(
    {
      name: "machined_machine_memory_limit_bytes",
      kind: "gauge",
      unit: "bytes",
      help: "The limit of memory of the machine's unit; absent where there is none.",
    },
    ({ memoryLimitBytes }) => memoryLimitBytes,
  ),
  ofMachine(
    { name: "machined_machine_swap_bytes", kind: "gauge", unit: "bytes", help: "Memory that is swapped out." },
    ({ swapBytes }) => swapBytes,
  ),
  ofMachine({ name: "machined_machine_tasks", kind: "gauge", help: "Processes and threads." }, ({ tasks }) => tasks),
  ofMachine(
    {
      name: "machined_machine_io_read_bytes",
      kind: "counter",
      unit: "bytes",
      help: "Bytes read from block devices.",
    },
    ({ readBytes }) => readBytes,
  ),
  ofMachine(
    {
      name: "machined_machine_io_written_bytes",
      kind: "counter",
      unit: "bytes",
      help: "Bytes written to block devices.",
    },
    ({ writtenBytes }) => writtenBytes,
  ),
  ofMachine(
    {
      name: "machined_machine_network_receive_bytes",
      kind: "counter",
      unit: "bytes",
      help: "Bytes that came in over the machine's own network interfaces; absent where it shares the host's network.",
    },
    ({ receivedBytes }) => receivedBytes,
  ),
  ofMachine(
    {
      name: "machined_machine_network_transmit_bytes",
      kind: "counter",
      unit: "bytes",
      help: "Bytes that went out over the machine's own network interfaces; absent where it shares the host's network.",
    },
    ({ sentBytes }) => sentBytes,
  ),
  ofResources(
    {
      name: "machined_machine_pressure_waiting_seconds",
      kind: "counter",
      unit: "seconds",
      help: "Time in which some task of the machine waited for cpu, memory or io.",
    },
    {
      cpu: ({ cpuPressureUsec }) => seconds(cpuPressureUsec),
      memory: ({ memoryPressureUsec }) => seconds(memoryPressureUsec),
      io: ({ ioPressureUsec }) => seconds(ioPressureUsec),
    },
  ),
];

function* one(value: number): Iterable<LabelledValue> {
  yield { labels: {}, value };
}

/** A bound as OpenMetrics wants it: canonical, so that both formats have the same series. */
function boundText(bound: number): string {
  return Number.isInteger(bound) ? `${bound}.0` : String(bound);
}

function* histogram({ durations, durationBounds }: DaemonSource): Iterable<LabelledValue> {
  for (const { interface: iface, counts, sumSeconds } of durations) {
    let sum = 0;
    for (const [index, count] of counts.entries()) {
      sum += count;
      const bound = durationBounds[index];
      const labels = { interface: iface, le: bound === undefined ? "+Inf" : boundText(bound) };
      yield { suffix: "_bucket", labels, value: sum };
    }
    yield { suffix: "_sum", labels: { interface: iface }, value: Math.round(sumSeconds * 1e6) / 1e6 };
    yield { suffix: "_count", labels: { interface: iface }, value: sum };
  }
}

function* byClass({ machines }: DaemonSource): Iterable<LabelledValue> {
  for (const name of ["container", "vm"]) {
    yield { labels: { class: name }, value: machines.filter((machine) => machine.class === name).length };
  }
}

/** Of the daemon itself. */
export const DAEMON_METRICS: readonly DaemonMetric[] = [
  {
    name: "machined_build",
    kind: "info",
    help: "Which release answers; always 1.",
    labels: ["version"],
    values: ({ version }) => [{ labels: { version }, value: 1 }],
  },
  { name: "machined_machines", kind: "gauge", help: "Registered machines.", labels: ["class"], values: byClass },
  {
    name: "machined_sample_timestamp_seconds",
    kind: "gauge",
    unit: "seconds",
    help: "When the numbers of machines were read, since 1970.",
    labels: [],
    values: ({ sampledSeconds }) => one(sampledSeconds),
  },
  {
    name: "machined_sample_duration_seconds",
    kind: "gauge",
    unit: "seconds",
    help: "How long reading them took.",
    labels: [],
    values: ({ samplingSeconds }) => one(samplingSeconds),
  },
  {
    name: "machined_calls",
    kind: "counter",
    help: "Calls of methods over D-Bus and Varlink.",
    labels: ["interface", "method"],
    *values({ calls }) {
      for (const { interface: iface, method, calls: value } of calls) {
        yield { labels: { interface: iface, method }, value };
      }
    },
  },
  {
    name: "machined_call_errors",
    kind: "counter",
    help: "Calls that were answered with an error.",
    labels: ["interface", "method"],
    *values({ calls }) {
      for (const { interface: iface, method, errors: value } of calls) {
        yield { labels: { interface: iface, method }, value };
      }
    },
  },
  {
    name: "machined_call_duration_seconds",
    kind: "histogram",
    unit: "seconds",
    help: "How long calls took, questions to polkit included.",
    labels: ["interface"],
    values: histogram,
  },
  {
    name: "machined_operations",
    kind: "gauge",
    help: "Clones, copies and removals that are under way.",
    labels: [],
    values: ({ operations }) => one(operations),
  },
  {
    name: "machined_connections",
    kind: "gauge",
    help: "Connections on all sockets of the daemon.",
    labels: [],
    values: ({ connections }) => one(connections),
  },
  {
    name: "machined_stat_streams",
    kind: "gauge",
    help: "Callers that are told what machines use again and again.",
    labels: [],
    values: ({ streams }) => one(streams),
  },
  {
    name: "machined_cpu_seconds",
    kind: "counter",
    unit: "seconds",
    help: "Time of processors that the daemon has used.",
    labels: [],
    values: ({ cpuSeconds }) => one(cpuSeconds),
  },
  {
    name: "machined_resident_memory_bytes",
    kind: "gauge",
    unit: "bytes",
    help: "Memory of the daemon.",
    labels: [],
    values: ({ residentBytes }) => one(residentBytes),
  },
  {
    name: "machined_open_fds",
    kind: "gauge",
    help: "Descriptors that the daemon has open.",
    labels: [],
    values: ({ openFiles }) => one(openFiles),
  },
  {
    name: "machined_max_fds",
    kind: "gauge",
    help: "Descriptors that the daemon may have open.",
    labels: [],
    values: ({ mostOpenFiles }) => one(mostOpenFiles),
  },
  {
    name: "machined_start_time_seconds",
    kind: "gauge",
    unit: "seconds",
    help: "When the daemon was started, since 1970.",
    labels: [],
    values: ({ startedSeconds }) => one(startedSeconds),
  },
];

/** What a metric's lines begin with: `machined_machine_cpu_seconds_total`. */
export function sampleName({ name, kind }: Pick<MetricHead, "name" | "kind">): string {
  if (kind === "counter") return `${name}_total`;
  return kind === "info" ? `${name}_info` : name;
}
