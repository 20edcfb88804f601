// Runs the garbage collector after work: the engine itself collects only when it allocates, so the garbage of a burst of
// calls would stay for as long as the daemon is idle afterwards.
import { readFileSync } from "node:fs";

/** Longer than a burst of calls lasts, so that it is collected once; short, so that an idle daemon is small soon. */
const DELAY_MS = 3_000;
/** With more memory of its own than this (some hundred machines) the daemon frees compiled code as well. */
const LIMIT_BYTES = 24 << 20;

let isPlanned = false;

/** Called for each piece of work. While nothing happens no timer runs. */
export function collectGarbageSoon(): void {
  if (isPlanned) return;
  isPlanned = true;
  setTimeout(() => {
    isPlanned = false;
    Bun.gc(true);
    // What a burst had compiled takes some MiB; compiling it again delays the next call by two or three milliseconds.
    if (ownMemoryBytes() > LIMIT_BYTES) Bun.shrink();
  }, DELAY_MS).unref();
}

/** Memory that no other process shares: proc_pid_status(5). */
function ownMemoryBytes(): number {
  const [, kibibytes] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1")) ?? [];
  return Number(kibibytes ?? 0) * 1024;
}
