// Metrics as text: Prometheus's format 0.0.4 and OpenMetrics 1.0
// (https://prometheus.io/docs/instrumenting/exposition_formats/,
// https://prometheus.io/docs/specs/om/open_metrics_spec/).
import { DAEMON_METRICS } from "./daemon-metrics.ts";
import { MACHINE_METRICS } from "./machine-metrics.ts";
import {
  type DaemonMetric,
  type DaemonSource,
  type Labels,
  type MachineMetric,
  type MachineSource,
  sampleName,
} from "./metrics.ts";

/** The media type of each format. */
export const FORMATS = {
  text: "text/plain; version=0.0.4; charset=utf-8",
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
} as const;

export type Format = keyof typeof FORMATS;

/** The names of the types in the older format. */
const OLD_TYPES = { counter: "counter", gauge: "gauge", info: "gauge", histogram: "histogram" } as const;

const ESCAPES: Readonly<Record<string, string>> = { "\\": "\\\\", '"': '\\"', "\n": "\\n" };

function escaped(text: string): string {
  return text.replace(/[\\"\n]/g, (character) => ESCAPES[character] as string);
}

function labelList(labels: Labels): string {
  return Object.entries(labels)
    .map(([name, value]) => `${name}="${escaped(value)}"`)
    .join(",");
}

function braced(list: string): string {
  return list === "" ? "" : `{${list}}`;
}

/** Formats a number; infinity is the bound of "no limit". */
function numberText(value: number): string {
  return value === Number.POSITIVE_INFINITY ? "+Inf" : String(value);
}

function head(metric: MachineMetric | DaemonMetric, format: Format): string {
  const { name, kind, unit, help } = metric;
  if (format === "text") {
    const full = sampleName(metric);
    return `# HELP ${full} ${help}\n# TYPE ${full} ${OLD_TYPES[kind]}\n`;
  }
  return `# TYPE ${name} ${kind}\n${unit === undefined ? "" : `# UNIT ${name} ${unit}\n`}# HELP ${name} ${help}\n`;
}

function machineLines(metric: MachineMetric, machines: readonly MachineSource[], labels: readonly string[]): string {
  const name = sampleName(metric);
  let lines = "";
  for (const { labels: own, value } of metric.series) {
    const fixed = own === undefined ? "" : `,${labelList(own)}`;
    for (const [index, machine] of machines.entries()) {
      const number = value(machine);
      if (number === null) continue;
      const more = metric.more === undefined ? "" : `,${labelList(metric.more(machine))}`;
      lines += `${name}{${labels[index]}${more}${fixed}} ${numberText(number)}\n`;
    }
  }
  return lines;
}

function daemonLines(metric: DaemonMetric, daemon: DaemonSource): string {
  const name = sampleName(metric);
  let lines = "";
  for (const { suffix = "", labels, value } of metric.values(daemon)) {
    lines += `${name}${suffix}${braced(labelList(labels))} ${numberText(value)}\n`;
  }
  return lines;
}

/**
 * Returns the metrics of machines and, unless `daemon` is null, of the daemon as text. A metric without values is
 * omitted.
 */
export function metricsText(machines: readonly MachineSource[], daemon: DaemonSource | null, format: Format): string {
  const labels = machines.map(({ name }) => labelList({ machine: name }));
  let text = "";
  const add = (metric: MachineMetric | DaemonMetric, lines: string) => {
    if (lines !== "") text += head(metric, format) + lines;
  };
  for (const metric of MACHINE_METRICS) add(metric, machineLines(metric, machines, labels));
  if (daemon !== null) for (const metric of DAEMON_METRICS) add(metric, daemonLines(metric, daemon));
  return format === "openmetrics" ? `${text}# EOF\n` : text;
}

/**
 * Returns the format that a header `Accept` requests. Unknown media types are ignored; the older format is the default.
 */
export function acceptedFormat(accept: string): Format {
  let best: { format: Format; weight: number } = { format: "text", weight: 0 };
  for (const range of accept.split(",")) {
    const [type = "", ...parameters] = range.split(";").map((part) => part.trim().toLowerCase());
    const given = new Map(parameters.map((one): [string, string] => [before(one), after(one)]));
    const weight = Number(given.get("q") ?? 1);
    const format = formatOf(type, given.get("version"));
    if (format !== null && weight > best.weight) best = { format, weight };
  }
  return best.format;
}

function before(text: string): string {
  return text.slice(0, Math.max(text.indexOf("="), 0)).trim();
}

function after(text: string): string {
  return text
    .slice(text.indexOf("=") + 1)
    .trim()
    .replace(/^"(.*)"$/, "$1");
}

function formatOf(type: string, version: string | undefined): Format | null {
  if (type === "application/openmetrics-text")
    return version === undefined || version === "1.0.0" ? "openmetrics" : null;
  return type === "text/plain" || type === "text/*" || type === "*/*" ? "text" : null;
}
