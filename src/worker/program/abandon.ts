// The unfinished work of a transfer, and its removal when the transfer is cancelled: every child is killed, and every
// file that is not an image yet is removed, also where one of them fails. Afterwards nothing can be started or
// installed.
import { ErrnoError } from "../../base/error.ts";
import { log } from "./log.ts";

const pending = new Set<Disposable>();
let isAbandoned = false;

/**
 * Removes all unfinished work, the latest first. Work that cannot be removed is left to the next clean-up
 * (remove-orphans.ts); never throws.
 */
export function abandonAll(): void {
  isAbandoned = true;
  for (const thing of [...pending].reverse()) {
    try {
      thing[Symbol.dispose]();
    } catch (error) {
      log("warning", `Failed to clean up: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
  pending.clear();
}

/** Throws `ECANCELED` after `abandonAll()`: must be called before something is made or gets its name. */
export function requireWanted(): void {
  if (isAbandoned) throw new ErrnoError("ECANCELED", "The transfer was aborted.");
}

/** Registers `thing` for `abandonAll()`; `settled()` of the result cancels that. `ECANCELED` after `abandonAll()`. */
export function abandonWithUs(thing: Disposable): { settled(): void } {
  requireWanted();
  pending.add(thing);
  return { settled: () => void pending.delete(thing) };
}

/** Work that a later call can resume. */
interface Resumable extends Disposable {
  keep(): void;
}

const resumable = new Set<Resumable>();

/** Registers `thing` for `keepForLater()` and `abandonAll()`; `settled()` of the result cancels that. */
export function keepWhenInterrupted(thing: Resumable): { settled(): void } {
  resumable.add(thing);
  const abandoned = abandonWithUs(thing);
  return {
    settled: () => {
      resumable.delete(thing);
      abandoned.settled();
    },
  };
}

/** Whether there is anything to keep. */
export function canGoOnLater(): boolean {
  return resumable.size > 0;
}

/** Keeps all work that a later call can resume: for a process that is interrupted. Never throws. */
export function keepForLater(): void {
  for (const thing of [...resumable]) {
    try {
      thing.keep();
    } catch (error) {
      log("warning", `Failed to keep what was downloaded: ${error instanceof Error ? error.message : String(error)}`);
    }
  }
}
