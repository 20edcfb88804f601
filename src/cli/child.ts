// Helper programs as child processes: one whose output is wanted, the pager, agents on the terminal.
import { read, readFileSync } from "node:fs";
import { promisify } from "node:util";
import type { PagerPipe } from "./output.ts";
import type { Agent, AgentCommand, Command } from "./ports.ts";

function environment(command: Command): Record<string, string | undefined> {
  return { ...process.env, ...command.env };
}

/** The stdout of a program run to its end, or null where it is not installed. Its stderr is not shown. */
export async function runChild(command: Command): Promise<string | null> {
  if (Bun.which(command.argv[0]) === null) return null;
  const child = Bun.spawn([...command.argv], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
    env: environment(command),
  });
  const text = await new Response(child.stdout).text();
  await child.exited;
  return text;
}

/** Starts the first of the pagers that is installed; null where none is. */
export function startPagerChild(candidates: readonly Command[]): PagerPipe | null {
  const command = candidates.find(({ argv }) => Bun.which(argv[0]) !== null);
  if (command === undefined) return null;
  const child = Bun.spawn([...command.argv], {
    stdin: "pipe",
    stdout: "inherit",
    stderr: "inherit",
    env: environment(command),
  });
  let isOpen = true;
  const gone = child.exited.then(() => {
    isOpen = false;
  });
  const giveUp = () => {
    isOpen = false;
  };
  return {
    write(text) {
      if (!isOpen) return false;
      child.stdin.write(text);
      Promise.resolve(child.stdin.flush()).catch(giveUp);
      return true;
    },
    async close() {
      // The user may leave the pager before all is written.
      await Promise.race([Promise.resolve(child.stdin.end()).catch(giveUp), gone]);
      await gone;
    },
  };
}

/** Resolves when the other end of a pipe or socket is closed. */
async function untilClosed(fd: number): Promise<void> {
  const readSome = promisify(read);
  const buffer = Buffer.alloc(64);
  try {
    while ((await readSome(fd, buffer, 0, buffer.length, null)).bytesRead > 0);
  } catch {
    // Reset by the other end: closed as well.
  }
}

/** Starts an agent on our terminal; null where it is not installed. It is told to stop by SIGTERM. */
export async function startAgentChild({ argv, waitForReady }: AgentCommand): Promise<Agent | null> {
  if (Bun.which(argv[0]) === null) return null;
  const child = waitForReady
    ? Bun.spawn([...argv, "--notify-fd", "3"], { stdio: ["inherit", "inherit", "inherit", "pipe"] })
    : Bun.spawn([...argv], { stdio: ["inherit", "inherit", "inherit"] });
  const ready = child.stdio[3];
  if (waitForReady && typeof ready === "number") await Promise.race([untilClosed(ready), child.exited]);
  return {
    stop() {
      child.kill("SIGTERM");
      // A stopped agent (it reads from the terminal in the background) could not end otherwise.
      child.kill("SIGCONT");
    },
  };
}

/** The whole text of a file, or null when it cannot be read. */
export function readTextFile(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
