// The child processes and temporary directories of test/run.ts. They end with it, also when it is interrupted.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Subprocess } from "bun";

const children = new Set<Subprocess>();
const directories = new Set<string>();
let isInterrupted = false;

const EXIT_CODES = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/**
 * On SIGINT, SIGTERM and SIGHUP, terminates the child processes and waits for them, so that the host suite can stop its
 * beds. Further signals change nothing: npm passes on those that a terminal has sent already.
 */
export function forwardSignals(): void {
  for (const [signal, code] of Object.entries(EXIT_CODES)) {
    process.on(signal, async () => {
      if (isInterrupted) return;
      isInterrupted = true;
      await Promise.all([...children].map(terminate));
      process.exit(code);
    });
  }
}

/** Starts a process, which is the caller's until finished(). After a signal, no further one is started. */
export async function begin(start: () => Subprocess): Promise<Subprocess> {
  if (isInterrupted) await new Promise(() => {});
  const child = start();
  children.add(child);
  return child;
}

export function finished(child: Subprocess): void {
  children.delete(child);
}

/** A process, with its start time: another one may get its number. */
interface Descendant {
  readonly pid: number;
  readonly startTime: string;
}

/** Terminates a process, and afterwards the daemons and other processes that it has started and not ended. */
export async function terminate(child: Subprocess): Promise<void> {
  const descendants = descendantsOf(child.pid);
  child.kill("SIGTERM");
  await child.exited;
  for (const { pid, startTime } of descendants) {
    if (startTimeOf(pid) !== startTime) continue;
    // A stopped process would keep the first one for later.
    for (const signal of ["SIGTERM", "SIGCONT"] as const) unlessGone(() => process.kill(pid, signal), false);
  }
}

function descendantsOf(pid: number): Descendant[] {
  const threads = unlessGone(() => readdirSync(`/proc/${pid}/task`), []);
  const texts = threads.map((thread) => read(`/proc/${pid}/task/${thread}/children`));
  const direct = texts.join("").split(" ").filter(Boolean).map(Number);
  return direct.flatMap((child) => [{ pid: child, startTime: startTimeOf(child) }, ...descendantsOf(child)]);
}

/** The start time of a process in ticks since boot; "" where it has ended. See proc_pid_stat(5). */
function startTimeOf(pid: number): string {
  return (
    read(`/proc/${pid}/stat`)
      .replace(/^.*\) /s, "")
      .split(" ")[19] ?? ""
  );
}

function read(path: string): string {
  return unlessGone(() => readFileSync(path, "latin1"), "");
}

/** Returns `otherwise` where the process has ended meanwhile. */
function unlessGone<Result>(act: () => Result, otherwise: Result): Result {
  try {
    return act();
  } catch {
    return otherwise;
  }
}

/** Makes a directory that is removed by removeDirectory(), or at the end of this process. */
export function makeDirectory(prefix: string): string {
  const path = mkdtempSync(join(tmpdir(), prefix));
  directories.add(path);
  return path;
}

export function removeDirectory(path: string): void {
  directories.delete(path);
  rmSync(path, { recursive: true, force: true });
}

process.on("exit", () => {
  for (const path of directories) removeDirectory(path);
});
