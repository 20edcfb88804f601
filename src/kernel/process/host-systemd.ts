// The version of the host's systemd, for `--version`: scripts derive the features of a host from the number in the
// first line of `machinectl --version`.
import { existsSync } from "node:fs";
import { INTERFACE_VERSION, PROGRAM_VERSION } from "../../base/vocabulary/version.ts";

/** The paths of the service manager in distributions. */
const MANAGERS = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"] as const;
const TIMEOUT_MS = 5000;

/** Returns the first line of `systemd --version` of the host; null where it has no systemd or that cannot be run. */
export function hostVersionLine(managers: readonly string[] = MANAGERS): string | null {
  const manager = managers.find((path) => existsSync(path));
  if (manager === undefined) return null;
  try {
    const options = { stdin: "ignore", stdout: "pipe", stderr: "ignore", env: {}, timeout: TIMEOUT_MS } as const;
    const { stdout } = Bun.spawnSync([manager, "--version"], options);
    return /^systemd \d+[^\n]*/.exec(stdout.toString())?.[0] ?? null;
  } catch {
    return null;
  }
}

/**
 * Returns the text for `--version`: the line of the host's systemd (of the release that we follow where there is none),
 * then a line of this program with its features.
 */
export function versionText(features: readonly string[] = [], hostLine = hostVersionLine()): string {
  const ours = [PROGRAM_VERSION, ...features].join(" ");
  return `${hostLine ?? `systemd ${INTERFACE_VERSION}`}\n${ours}\n`;
}
