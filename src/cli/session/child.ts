// Runs helper programs as child processes: a program whose output is collected, and the pager. Reads text files as
// well.
import { unlessNoFile } from "../../base/absence.ts";
import type { PagerPipe } from "./output.ts";
import type { Command } from "./ports.ts";

function environment(command: Command): Record<string, string | undefined> {
  return { ...process.env, ...command.env };
}

/**
 * Runs a program to its end and returns its stdout; null if it is not installed. Its stderr and exit status are
 * ignored.
 */
export async function runChild(command: Command): Promise<string | null> {
  if (Bun.which(command.argv[0]) === null) return null;
  const child = Bun.spawn([...command.argv], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
    env: environment(command),
  });
  const text = await child.stdout.text();
  await child.exited;
  return text;
}

/** Starts the first of the pagers that is installed; returns null if none is. */
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
      // If the user quits the pager before everything is written, end() need not finish.
      await Promise.race([Promise.resolve(child.stdin.end()).catch(giveUp), gone]);
      await gone;
    },
  };
}

/** Returns the whole text of a file, or null if there is none that this user may read. Throws every other error. */
export function readTextFile(path: string): string | null {
  return unlessNoFile(() => process.getBuiltinModule("node:fs").readFileSync(path, "utf8"), null);
}
