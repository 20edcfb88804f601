// The units and the dashboard for metrics, and their places on a host. Nothing is enabled; the administrator enables
// it.
import { join } from "node:path";
import dashboard from "../../../install/grafana/machined.json";
import metricsService from "../../../install/systemd/machined-metrics.service" with { type: "text" };
import metricsSocket from "../../../install/systemd/machined-metrics.socket" with { type: "text" };
import textfileService from "../../../install/systemd/machined-metrics-textfile.service" with { type: "text" };
import textfileTimer from "../../../install/systemd/machined-metrics-textfile.timer" with { type: "text" };
import type { Wanted } from "../wanted.ts";

const UNITS = "/etc/systemd/system";
const TEXTS: Readonly<Record<string, string>> = {
  "machined-metrics.service": metricsService,
  "machined-metrics.socket": metricsSocket,
  "machined-metrics-textfile.service": textfileService,
  "machined-metrics-textfile.timer": textfileTimer,
};

/** The names of the units. */
export const METRICS_UNITS = Object.keys(TEXTS);
/** The file that the timer's service writes for Prometheus' node exporter. */
export const TEXTFILE = "/var/lib/prometheus/node-exporter/machined.prom";
export const METRICS_SOCKET_UNIT = join(UNITS, "machined-metrics.socket");

/** Returns the dashboard, which can be imported to Grafana. */
export function metricsDashboard(): Wanted {
  const text = `${JSON.stringify(dashboard, null, 2)}\n`;
  return { kind: "file", path: "/usr/local/share/machined/grafana/machined.json", text };
}

/** Returns the units. */
export function metricsUnits(): Wanted[] {
  return Object.entries(TEXTS).map(([name, text]) => ({ kind: "file", path: join(UNITS, name), text }));
}
