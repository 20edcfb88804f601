// How what offers metrics is ended; it is the administrator who starts it.
import { METRICS_UNITS } from "./metrics-layout.ts";
import type { Run } from "./takeover.ts";

/** Before the files go: what was enabled would be left as links to nothing, and what runs would run on. */
export function stopMetrics(command: Run): void {
  command("systemctl", "disable", "machined-metrics.socket", "machined-metrics-textfile.timer");
  command("systemctl", "stop", ...METRICS_UNITS);
}
