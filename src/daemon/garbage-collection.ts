// Runs the garbage collector after work: the engine collects only when it allocates, so an idle daemon would keep the
// garbage of its last calls. The engine does not move objects: those that stay hold the pages of the garbage that was
// made beside them.
import { edenGC } from "bun:jsc";
import { readFileSync } from "node:fs";
import { errnoNameOf } from "../base/error.ts";

/** Long enough to collect once for a burst of calls, short enough that an idle daemon frees its memory soon. */
const DELAY_MS = 3_000;
/** Callers of a daemon that had work more recently than this would wait for a whole collection, of about 10 ms. */
const QUIET_MS = 1_000;
/** After so many delays without a quiet moment, all objects are collected in any case. */
const DELAYS_LIMIT = 10;
/** Above this private memory (some hundred machines), compiled code is freed as well. */
const LIMIT_BYTES = 12 << 20;
/** After this time without work, compiled code is freed in any case: a MiB of the nine of an idle daemon. */
const IDLE_MS = 20_000;
/** Pieces of work between two collections of young objects, each of which takes less than a millisecond. */
const PIECES = 256;

let isPlanned = false;
let lastWorkMs = 0;
let pieces = 0;
let isIdlePlanned = false;

/** Plans a collection in DELAY_MS, unless one is planned; to be called after work: a call, a signal, the start. */
export function collectGarbageSoon(): void {
  lastWorkMs = performance.now();
  collectAmong(1);
  if (!isPlanned) plan(1);
}

function plan(delays: number): void {
  isPlanned = true;
  setTimeout(() => {
    isPlanned = false;
    if (performance.now() - lastWorkMs < QUIET_MS && delays < DELAYS_LIMIT) {
      // Less than a millisecond.
      edenGC();
      plan(delays + 1);
    } else collect();
  }, DELAY_MS).unref();
}

function collect(): void {
  Bun.gc(true);
  if (ownMemoryBytes() > LIMIT_BYTES) shrink();
  if (isIdlePlanned) return;
  isIdlePlanned = true;
  shrinkWhenIdle();
}

/** Shrinks once after the last work, as soon as that was IDLE_MS ago. */
function shrinkWhenIdle(): void {
  const restMs = IDLE_MS - (performance.now() - lastWorkMs);
  if (restMs > 0) setTimeout(shrinkWhenIdle, restMs).unref();
  else {
    isIdlePlanned = false;
    shrink();
  }
}

/** Frees compiled code and what only it refers to; compiling it again delays the next call by some milliseconds. */
function shrink(): void {
  Bun.shrink();
}

/**
 * Counts pieces of work, and collects the young objects of every PIECES of them: a call or a row of a list is one, a
 * machine that was registered or restored is several. The engine would wait for some MiB of garbage, and keep that
 * memory: two MiB after a thousand calls. Without a collection among them, a thousand machines are scattered over eight
 * MiB more.
 */
export function collectAmong(count: number): void {
  pieces += count;
  if (pieces < PIECES) return;
  pieces = 0;
  edenGC();
}

/** Returns the size of private memory: proc_pid_status(5), RssAnon; 0 while no descriptor is free to read it. */
function ownMemoryBytes(): number {
  try {
    const [, kibibytes] = /^RssAnon:\s+(\d+) kB$/m.exec(readFileSync("/proc/self/status", "latin1")) ?? [];
    return Number(kibibytes ?? 0) * 1024;
  } catch (error) {
    if (errnoNameOf(error) === null) throw error;
    return 0;
  }
}
