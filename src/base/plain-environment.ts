// The environment of programs whose output is read.

/**
 * Returns this process's environment with colours turned off: where $SYSTEMD_COLORS turns them on, systemd's programs
 * colour also JSON and version texts.
 */
export function plainEnvironment(): Record<string, string | undefined> {
  return { ...process.env, SYSTEMD_COLORS: "0" };
}
