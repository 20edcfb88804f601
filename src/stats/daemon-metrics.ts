// The metrics of the daemon itself, one row each: name, type, meaning and source of each number (metrics.ts).
import type { DaemonMetric, DaemonSource, LabelledValue } from "./metrics.ts";

function* one(value: number): Iterable<LabelledValue> {
  yield { labels: {}, value };
}

/** Formats a bound in OpenMetrics' canonical form, so that both formats have the same series. */
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

/** The metrics of the daemon, in the order of the page. */
export const DAEMON_METRICS: readonly DaemonMetric[] = [
  {
    name: "machined_build",
    kind: "info",
    help: "The version of the daemon as a label; always 1.",
    labels: ["version"],
    values: ({ version }) => [{ labels: { version }, value: 1 }],
  },
  { name: "machined_machines", kind: "gauge", help: "Registered machines.", labels: ["class"], values: byClass },
  {
    name: "machined_sample_timestamp_seconds",
    kind: "gauge",
    unit: "seconds",
    help: "When the numbers of the machines were read, in seconds since 1970.",
    labels: [],
    values: ({ sampledSeconds }) => one(sampledSeconds),
  },
  {
    name: "machined_sample_duration_seconds",
    kind: "gauge",
    unit: "seconds",
    help: "How long reading the numbers of the machines took.",
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
    help: "How long calls took, including checks by polkit.",
    labels: ["interface"],
    values: histogram,
  },
  {
    name: "machined_operations",
    kind: "gauge",
    help: "Clones, copies and removals that are running.",
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
    help: "Calls of io.machined.Stats that are answered repeatedly.",
    labels: [],
    values: ({ streams }) => one(streams),
  },
  {
    name: "machined_cpu_seconds",
    kind: "counter",
    unit: "seconds",
    help: "CPU time that the daemon has used.",
    labels: [],
    values: ({ cpuSeconds }) => one(cpuSeconds),
  },
  {
    name: "machined_resident_memory_bytes",
    kind: "gauge",
    unit: "bytes",
    help: "Resident memory of the daemon.",
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
    help: "When the daemon was started, in seconds since 1970.",
    labels: [],
    values: ({ startedSeconds }) => one(startedSeconds),
  },
];
