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

/** The options by which a call of this executable reaches the same daemon, and asks as much, as this one does. */
export function sameDaemon({ settings }: Session): string[] {
  return [
    ...(settings.scope === "user" ? ["--user"] : []),
    ...(settings.askPassword ? [] : ["--no-ask-password"]),
    ...(settings.transport.kind === "remote" ? [`--host=${settings.transport.host}`] : []),
    ...(settings.batch ? ["--batch"] : []),
  ];
}

/** The options of `exec`, for a call of it in place of this one. */
export function sameExec({ settings }: Session): string[] {
  return [
    ...(settings.directory === null ? [] : [`--chdir=${settings.directory}`]),
    ...settings.environment.map((assignment) => `--setenv=${assignment}`),
    ...(settings.timeoutMs > 0 ? [`--timeout=${settings.timeoutMs}ms`] : []),
    ...(settings.tty ? ["--tty"] : []),
    ...(settings.detach ? ["--detach"] : []),
    ...(settings.verbose ? ["--verbose"] : []),
  ];
}

/** The command's variables beside those of its user: those of --setenv=, and what describes the terminal. */
export function environmentOf({ settings, ports }: Session): string[] {
  const shown = settings.tty ? ["TERM", "COLORTERM", "NO_COLOR"].filter((name) => ports.env[name] !== undefined) : [];
  return [...shown.map((name) => `${name}=${ports.env[name]}`), ...settings.environment];
}
