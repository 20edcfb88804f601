// The environment of programs whose output is read.

/** systemd's programs paint what they print, JSON and versions as well, where $SYSTEMD_COLORS says so. */
export function plainEnvironment(): Record<string, string | undefined> {
  return { ...process.env, SYSTEMD_COLORS: "0" };
}
