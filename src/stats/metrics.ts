// The form of the metrics for Prometheus. machine-metrics.ts and daemon-metrics.ts are the tables, from which
// docs/metrics.md is generated. Names follow https://prometheus.io/docs/practices/naming/; all begin with `machined_`,
// also those of the process, because the textfile collector of the node exporter has `process_…` of its own.
import type { Usage } from "./meter.ts";

/** The types of OpenMetrics; an `info` is always 1 and has its facts as labels. */
type MetricKind = "counter" | "gauge" | "info" | "histogram";

export type Labels = Readonly<Record<string, string>>;

/** One time series of a metric. */
interface Series<Source> {
  /** Labels beside those of the source. */
  readonly labels?: Labels;
  /** Returns the number; null where it is not known, and the line is omitted. */
  value(source: Source): number | null;
}

/** One value with its labels; a part of a histogram has a suffix. */
export interface LabelledValue {
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
  /** Returns further labels of a machine. */
  readonly more?: (machine: MachineSource) => Labels;
}

/** A metric of the daemon. */
export interface DaemonMetric extends MetricHead {
  values(daemon: DaemonSource): Iterable<LabelledValue>;
}

/** The facts of a machine from which its metrics are computed. */
export interface MachineSource {
  readonly name: string;
  readonly class: string;
  readonly service: string;
  /** Seconds since 1970; null where it is not known. */
  readonly startedSeconds: number | null;
  readonly usage: Usage;
}

/** The facts of the daemon from which its metrics are computed. */
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
  /** Upper bounds of the classes of durations, in seconds. */
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

/** Returns the name in a metric's lines, with its suffix: `machined_machine_cpu_seconds_total`. */
export function sampleName({ name, kind }: Pick<MetricHead, "name" | "kind">): string {
  if (kind === "counter") return `${name}_total`;
  return kind === "info" ? `${name}_info` : name;
}
