// One daemon for each runtime directory: a second one must not replace the sockets of the first. On a bus, the
// well-known name is a second lock, which also excludes other implementations.
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { errnoNameOf } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { FileLock } from "../kernel/file/lock.ts";
import { NameTaken, PREDECESSOR_MS, PREDECESSOR_POLL_MS } from "./system-bus.ts";

/**
 * The exit status where another daemon serves already (EX_UNAVAILABLE of sysexits.h); units do not restart after it.
 */
export const EXIT_SUPERFLUOUS = 69;

/** Whether an error means that another daemon serves this host or user, so that this one must end. */
export function isSuperfluous(error: unknown): boolean {
  return error instanceof NameTaken || error instanceof AlreadyRunning;
}

class AlreadyRunning extends Error {
  override readonly name = "AlreadyRunning";
}

/**
 * Takes the lock at `path` until it is disposed. Waits for PREDECESSOR_MS for another daemon that holds it, and then
 * throws AlreadyRunning. Logs a warning and returns null where the lock file cannot be made (disk full, a file in place
 * of the directory).
 */
export async function lockInstance(path: string, log: Log): Promise<Disposable | null> {
  const deadline = performance.now() + PREDECESSOR_MS;
  for (let isWaiting = false; ; await Bun.sleep(PREDECESSOR_POLL_MS)) {
    try {
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
      return FileLock.take(path, "exclusive");
    } catch (error) {
      const errno = errnoNameOf(error);
      if (errno === null) throw error;
      if (errno !== "EBUSY") {
        log.warning(`Cannot lock ${path}: ${(error as Error).message}`);
        return null;
      }
      if (performance.now() > deadline) {
        throw new AlreadyRunning(`Another daemon runs already: it has locked ${path}`);
      }
      if (!isWaiting) log.info(`Another daemon has locked ${path}, waiting for its end.`);
      isWaiting = true;
    }
  }
}

const FAILURE_DELAY_MS = 1_000;

/** Delays the exit after a failed start under a service manager, which would restart the daemon at once and again. */
export async function delayFailure(): Promise<void> {
  if (process.env["INVOCATION_ID"] !== undefined) await Bun.sleep(FAILURE_DELAY_MS);
}
