// Gives memory back after work: the engine itself collects only when it allocates, so a burst of calls would leave its
// garbage behind for as long as the daemon is idle afterwards.

/** Long enough that a burst is over, short enough that nobody looks at the garbage. */
const DELAY_MS = 3_000;

let isPlanned = false;

/** Called for each piece of work. While nothing happens no timer runs. */
export function collectGarbageSoon(): void {
  if (isPlanned) return;
  isPlanned = true;
  setTimeout(() => {
    isPlanned = false;
    Bun.gc(true);
  }, DELAY_MS).unref();
}
