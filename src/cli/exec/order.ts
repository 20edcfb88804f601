// A command to run in a machine, independent of how the machine is entered.
import { failureOf } from "../session/failure.ts";
import type { Session } from "../session/session.ts";

/**
 * The exit status if this client fails, as in env(1) and podman-exec(1); 126 and 127 mean that the command cannot be
 * executed.
 */
export const EXIT_OURS = 125;
/** The exit status of a command that was ended because nobody reads its output any more, as after SIGPIPE. */
export const EXIT_UNREAD = 128 + 13;
/** Returns the command in the words of a verb. A "--" before it separates options from words, as in other programs. */
export function commandIn(words: readonly string[]): readonly string[] {
  return words[0] === "--" ? words.slice(1) : words;
}

/**
 * Resolves to the exit status of a command, which `run` resolves to. Prints a Failure that `run` throws, and resolves
 * to `ours` then.
 */
export async function orExitOurs(
  { report }: Pick<Session, "report">,
  run: () => Promise<number>,
  ours = EXIT_OURS,
): Promise<number> {
  try {
    return await run();
  } catch (error) {
    const failure = failureOf(error);
    if (failure === null) throw error;
    report.failure(failure);
    return ours;
  }
}

/** The exit status of ssh(1) for its own failures; a command may have it as well. */
export const SSH_FAILED = 255;

/** A command to run in one machine. */
export interface ExecOrder {
  readonly machine: string;
  /** A name or number; "" for the default: root, or the leader's user where root is not mapped. */
  readonly user: string;
  /** The program and its arguments; empty for a shell. */
  readonly command: readonly string[];
}

/**
 * Returns the options with which another process of machinectl connects to the same daemon and asks for passwords in
 * the same cases.
 */
export function sameDaemon({ settings }: Session): string[] {
  return [
    ...(settings.scope === "user" ? ["--user"] : []),
    ...(settings.askPassword ? [] : ["--no-ask-password"]),
    ...(settings.transport.kind === "remote" ? [`--host=${settings.transport.host}`] : []),
    ...(settings.batch ? ["--batch"] : []),
  ];
}

/** Returns the options of `exec` with which another process of machinectl runs the same command. */
export function sameExec({ settings }: Session): string[] {
  return [
    ...(settings.directory === null ? [] : [`--chdir=${settings.directory}`]),
    ...settings.environment.map((assignment) => `--setenv=${assignment}`),
    ...(settings.timeoutMs > 0 ? [`--timeout=${settings.timeoutMs}ms`] : []),
    ...(settings.tty ? ["--tty"] : []),
    ...(settings.detach ? ["--detach"] : []),
    ...(settings.detach && settings.json !== "off" ? [`--json=${settings.json}`] : []),
    ...(settings.verbose ? ["--verbose"] : []),
  ];
}

/**
 * Returns assignments for the command's environment: those of --setenv=, and with -t those that describe the terminal.
 */
export function environmentOf({ settings, ports }: Session): string[] {
  const shown = settings.tty ? ["TERM", "COLORTERM", "NO_COLOR"].filter((name) => ports.env[name] !== undefined) : [];
  return [...shown.map((name) => `${name}=${ports.env[name]}`), ...settings.environment];
}
