// The levels of syslog(3), by name and number.

export const LOG_LEVELS = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** Returns the level whose name or number a text is (`err`, `3`), as systemd reads it; undefined for other texts. */
export function parseLogLevel(text: string): LogLevel | undefined {
  return LOG_LEVELS.find((name, number) => name === text || String(number) === text);
}
