// A command that is to be run in a machine, for all ways into one.
import type { Session } from "../session/session.ts";

/** Failures of ours, as env(1) and podman-exec(1) have them; 126 and 127 mean a command that cannot be run. */
export const EXIT_OURS = 125;

/** What is to be run in one machine. */
export interface ExecOrder {
  readonly machine: string;
  /** "" for the machine's default. */
  readonly user: string;
  readonly command: readonly string[];
}

/** The command's variables beside those of its user: those of --setenv=, and what describes the terminal. */
export function environmentOf({ settings, ports }: Session): string[] {
  const shown = settings.tty ? ["TERM", "COLORTERM", "NO_COLOR"].filter((name) => ports.env[name] !== undefined) : [];
  return [...shown.map((name) => `${name}=${ports.env[name]}`), ...settings.environment];
}
