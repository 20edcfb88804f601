// Stops the units for metrics; only the administrator starts them.
import { METRICS_UNITS } from "../layout/metrics.ts";
import type { Run } from "../run-command.ts";

/**
 * Disables and stops the units. To be called before their files are removed; otherwise the links of enabled units would
 * remain, and running services would continue.
 */
export function stopMetrics(command: Run): void {
  command("systemctl", "disable", "machined-metrics.socket", "machined-metrics-textfile.timer");
  command("systemctl", "stop", ...METRICS_UNITS);
}
