// The log of a transfer worker, on standard error. Under the daemon ($SYSTEMD_LOG_TARGET=console-prefixed) each line
// has its priority with the facility "daemon", which clients of LogMessage get (org.freedesktop.import1(5)).
import { writeSync } from "node:fs";
import { LOG_LEVELS, type LogLevel, parseLogLevel } from "../../base/log-level.ts";
import { withoutControls } from "../../base/text/control-characters.ts";

const DAEMON_FACILITY = 3 << 3;
const STDERR = 2;

/** The least serious level that is written: $SYSTEMD_LOG_LEVEL by name or number, "info" without it. */
function leastLevel(): number {
  return LOG_LEVELS.indexOf(parseLogLevel(process.env["SYSTEMD_LOG_LEVEL"] ?? "") ?? "info");
}

/** Names and passwords in URLs: everybody on the host may read the log of a transfer. */
const URL_LOGIN = /(\bhttps?:\/\/)[^\s/\\?#]*@/gi;

/**
 * Writes one event to standard error, with control characters escaped; errors are ignored, as there is nowhere to
 * report them.
 */
export function log(level: LogLevel, message: string): void {
  const priority = LOG_LEVELS.indexOf(level);
  if (priority > leastLevel()) return;
  const prefixed = process.env["SYSTEMD_LOG_TARGET"] === "console-prefixed";
  const prefix = prefixed ? `<${DAEMON_FACILITY | priority}>` : "";
  const text = withoutControls(message)
    .replace(URL_LOGIN, "$1")
    .split("\n")
    .map((line) => `${prefix}${line}\n`)
    .join("");
  try {
    writeSync(STDERR, text);
  } catch {
    // The log pipe is closed or full: the transfer continues.
  }
}
