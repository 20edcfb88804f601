// Starts password agents as child processes on this client's terminal (pkttyagent(1), "--notify-fd").

import { openPipe, readToEnd } from "../../kernel/process/pipe.ts";
import { programPath } from "../../kernel/process/program-path.ts";
import type { Agent, AgentCommand } from "./ports.ts";

/** The limit for data from the notify descriptor. Agents write nothing to it, they only close it. */
const NOTIFY_BYTES = 4096;

/** Starts a program with a pipe as `--notify-fd`, and waits until the program closes the pipe or exits. */
async function startAndWait(argv: readonly string[]): Promise<Bun.Subprocess> {
  const [reader, writer] = openPipe();
  using ours = reader;
  using theirs = writer;
  const child = Bun.spawn([...argv, "--notify-fd", "3"], { stdio: ["inherit", "inherit", "inherit", theirs.number] });
  theirs.close();
  await Promise.race([readToEnd(ours, NOTIFY_BYTES).catch(() => {}), child.exited]);
  return child;
}

/**
 * Starts an agent; its stop() sends SIGTERM. Returns null if the program is not installed, throws an error with errno
 * if it cannot be executed.
 */
export async function startAgentChild({ argv, waitForReady }: AgentCommand): Promise<Agent | null> {
  if (programPath(argv[0]) === null) return null;
  const child = waitForReady
    ? await startAndWait(argv)
    : Bun.spawn([...argv], { stdio: ["inherit", "inherit", "inherit"] });
  return {
    stop() {
      child.kill("SIGTERM");
      // An agent that read from the terminal in the background was stopped by SIGTTIN; only SIGCONT lets it handle
      // SIGTERM.
      child.kill("SIGCONT");
    },
  };
}
