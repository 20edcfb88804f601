// Password agents as child processes on our terminal (pkttyagent(1), "--notify-fd").
import { openPipe, readToEnd } from "../../kernel/process/pipe.ts";
import type { Agent, AgentCommand } from "./ports.ts";

/** Nothing is expected on the notify descriptor but its end. */
const NOTIFY_BYTES = 4096;

/** Starts a program that gets `--notify-fd` and waits until it closes that, or ends. */
async function startAndWait(argv: readonly string[]): Promise<Bun.Subprocess> {
  const [reader, writer] = openPipe();
  using ours = reader;
  const theirs = writer;
  const child = Bun.spawn([...argv, "--notify-fd", "3"], { stdio: ["inherit", "inherit", "inherit", theirs.number] });
  theirs[Symbol.dispose]();
  await Promise.race([readToEnd(ours, NOTIFY_BYTES).catch(() => {}), child.exited]);
  return child;
}

/** Starts an agent on the terminal and stops it with SIGTERM; returns null if it is not installed. */
export async function startAgentChild({ argv, waitForReady }: AgentCommand): Promise<Agent | null> {
  if (Bun.which(argv[0]) === null) return null;
  const child = waitForReady
    ? await startAndWait(argv)
    : Bun.spawn([...argv], { stdio: ["inherit", "inherit", "inherit"] });
  return {
    stop() {
      child.kill("SIGTERM");
      // A stopped agent (it reads from the terminal in the background) could not end otherwise.
      child.kill("SIGCONT");
    },
  };
}
