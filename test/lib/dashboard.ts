// The queries of the dashboard in install/grafana, in the form in which Grafana sends them.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { TOP } from "./run-tests.ts";

interface Panel {
  readonly title: string;
  readonly targets: readonly { readonly expr: string }[];
}

interface DashboardQuery {
  readonly title: string;
  readonly query: string;
}

/** Returns each query of each panel, with the values that its variables have if "All" is selected. */
export function dashboardQueries(): DashboardQuery[] {
  const dashboard: { panels: Panel[] } = JSON.parse(readFileSync(join(TOP, "install/grafana/machined.json"), "utf8"));
  return dashboard.panels.flatMap(({ title, targets }) =>
    targets.map(({ expr }) => {
      const query = expr.replaceAll("$__rate_interval", "1m").replaceAll(/\$(instance|machine)\b/g, ".*");
      return { title, query };
    }),
  );
}
