// One daemon for each runtime directory: whoever comes second must not touch the sockets of the first. On a bus the name
// says so as well, to daemons of other programs, too.
import { mkdirSync } from "node:fs";
import { dirname } from "node:path";
import { errnoNameOf } from "../base/error.ts";
import type { Log } from "../base/log.ts";
import { FileLock } from "../kernel/file/lock.ts";
import { NameTaken } from "./system-bus.ts";

/** sysexits.h, EX_UNAVAILABLE: another daemon serves already. The units do not start it again after this. */
export const EXIT_SUPERFLUOUS = 69;

/** Another daemon serves this host or user: there is no use in going on. */
export function isSuperfluous(error: unknown): boolean {
  return error instanceof NameTaken || error instanceof AlreadyRunning;
}

class AlreadyRunning extends Error {
  override readonly name = "AlreadyRunning";
}

/**
 * Takes the lock until it is disposed of. Throws AlreadyRunning where another daemon has it. A lock that cannot be made
 * (no room, a file in place of the directory) is a warning; null then.
 */
export function lockInstance(path: string, log: Log): Disposable | null {
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
    return FileLock.take(path, "exclusive");
  } catch (error) {
    const errno = errnoNameOf(error);
    if (errno === null) throw error;
    if (errno === "EBUSY") throw new AlreadyRunning(`Another daemon runs already: it has locked ${path}`);
    log.warning(`Cannot lock ${path}: ${(error as Error).message}`);
    return null;
  }
}

const FAILURE_DELAY_MS = 1_000;

/** Under a service manager, which starts us again at once, a start that fails takes its time: it may fail for long. */
export async function delayFailure(): Promise<void> {
  if (process.env["INVOCATION_ID"] !== undefined) await Bun.sleep(FAILURE_DELAY_MS);
}
