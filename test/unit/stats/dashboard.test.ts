// The dashboard of Grafana against the table of metrics; environments/metrics.test.ts asks a real Prometheus each
// query.
import { expect, test } from "bun:test";
import { DAEMON_METRICS } from "../../../src/stats/daemon-metrics.ts";
import { MACHINE_METRICS } from "../../../src/stats/machine-metrics.ts";
import { sampleName } from "../../../src/stats/metrics.ts";
import { dashboardQueries } from "../../lib/dashboard.ts";

test("queries use metrics of the table, and only variables that the dashboard defines", () => {
  const known = new Set([...MACHINE_METRICS, ...DAEMON_METRICS].map(sampleName));
  const queries = dashboardQueries().map(({ query }) => query);
  expect(queries.length).toBeGreaterThan(15);
  expect(queries.filter((query) => query.includes("$"))).toEqual([]);
  const named = queries.flatMap((query) => query.match(/machined_\w+/g) ?? []);
  expect(named.filter((name) => !known.has(name.replace(/_bucket$/, "")))).toEqual([]);
});
