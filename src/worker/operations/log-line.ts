// Log lines of a worker: on standard error, where the service manager reads them with their priority (sd-daemon(3)).
import { withoutControls } from "../../base/text/control-characters.ts";
import { writeAll } from "../../kernel/terminal/own-streams.ts";

/** Priorities of syslog(3). */
export const [ERROR, WARNING, INFO] = [3, 4, 6];

const STDERR = 2;

/** Writes a line, with control characters escaped. A log that cannot be written ends no operation. */
export function logLine(priority: number, text: string | undefined): void {
  try {
    writeAll(STDERR, `<${priority}>${withoutControls(String(text))}\n`);
  } catch {
    // The reader has gone, or the disk is full.
  }
}
