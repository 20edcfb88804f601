// Helper programs as child processes: one whose output is wanted, and the pager.
import { readFileSync } from "node:fs";
import type { PagerPipe } from "./output.ts";
import type { Command } from "./ports.ts";

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

/** The whole text of a file, or null when it cannot be read. */
export function readTextFile(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}
