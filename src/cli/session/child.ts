// Runs helper programs as child processes: a program whose output is collected, and the pager. Reads text files as
// well.

import { unlessNoFile } from "../../base/absence.ts";
import { errnoNameOf } from "../../base/error.ts";
import { plainEnvironment } from "../../base/plain-environment.ts";
import { programPath } from "../../kernel/process/program-path.ts";
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
  if (programPath(command.argv[0]) === null) return null;
  const child = Bun.spawn([...command.argv], {
    stdin: "ignore",
    stdout: "pipe",
    stderr: "ignore",
    env: { ...plainEnvironment(), ...command.env },
  });
  const text = await child.stdout.text();
  await child.exited;
  return text;
}

/** Returns a function that starts the first of the pagers that is installed; null if none is. */
export function findPager(candidates: readonly Command[]): (() => PagerPipe | null) | null {
  const command = candidates.find(({ argv }) => programPath(argv[0]) !== null);
  return command === undefined ? null : () => startPager(command);
}

function spawnPager(command: Command) {
  const options = { stdin: "pipe", stdout: "inherit", stderr: "inherit", env: environment(command) } as const;
  try {
    return Bun.spawn([...command.argv], options);
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    return null; // it has no execute permission for this user, or a missing interpreter
  }
}

function startPager(command: Command): PagerPipe | null {
  const child = spawnPager(command);
  if (child === null) return null;
  let isOpen = true;
  const gone = child.exited.then(() => {
    isOpen = false;
  });
  /** The stream throws the error of a closed pipe, or rejects with it, also before the pager's end is known. */
  const unlessClosed = async (act: () => unknown) => {
    try {
      await act();
    } catch {
      isOpen = false;
    }
  };
  let flushed: Promise<unknown> = Promise.resolve();
  return {
    write(text) {
      if (!isOpen) return false;
      const written = unlessClosed(() => child.stdin.write(text));
      flushed = Promise.all([written, unlessClosed(() => child.stdin.flush())]);
      return isOpen;
    },
    async drained() {
      await Promise.race([flushed, gone]);
    },
    async close() {
      // If the user quits the pager before everything is written, end() need not finish.
      await Promise.race([unlessClosed(() => child.stdin.end()), gone]);
      await gone;
    },
  };
}

/** Returns the whole text of a file, or null if there is none that this user may read. Throws every other error. */
export function readTextFile(path: string): string | null {
  return unlessNoFile(() => process.getBuiltinModule("node:fs").readFileSync(path, "utf8"), null);
}
