// Which systemd the host has, as its programs say it: scripts and tools take the features of a host from the number in the
// first line of `machinectl --version`.
import { existsSync } from "node:fs";
import { INTERFACE_VERSION, PROGRAM_VERSION } from "../../base/vocabulary/version.ts";

/** The service manager itself, as distributions have it. */
const MANAGERS = ["/usr/lib/systemd/systemd", "/lib/systemd/systemd"] as const;
const TIMEOUT_MS = 5000;

/** The first line of the host's systemd about its version; null where there is none on the host. */
export function hostVersionLine(managers: readonly string[] = MANAGERS): string | null {
  const manager = managers.find((path) => existsSync(path));
  if (manager === undefined) return null;
  try {
    const options = { stdin: "ignore", stdout: "pipe", stderr: "ignore", env: {}, timeout: TIMEOUT_MS } as const;
    const { stdout } = Bun.spawnSync([manager, "--version"], options);
    return /^systemd \d+[^\n]*/.exec(stdout.toString())?.[0] ?? null;
  } catch {
    // It may not be started: as if there were none.
    return null;
  }
}

/**
 * What a program prints for `--version`: the host's systemd as the programs of the distribution have it, then ours. Without
 * a systemd it is the release that we follow.
 */
export function versionText(features: readonly string[] = [], hostLine = hostVersionLine()): string {
  const ours = [PROGRAM_VERSION, ...features].join(" ");
  return `${hostLine ?? `systemd ${INTERFACE_VERSION}`}\n${ours}\n`;
}
