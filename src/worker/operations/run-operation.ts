// How an operation of the daemon's is carried out: one JSON object a line on descriptor 3 says how far it is and what
// comes of it (src/registry/operation.ts reads them), details for the admin go to stderr.
import { writeSync } from "node:fs";
import { errnoText } from "../../base/errno.ts";
import { errnoNameOf, firstError, MachinedError } from "../../base/error.ts";
import type { Plain } from "../../registry/operation.ts";

export interface Telling {
  /** How far it is; told at most twice a second. */
  progress(progress: Plain): void;
}

/** Does the work; returns a value for the daemon, or throws. */
type Work = (args: readonly string[], tell: Telling) => Plain;

const RESULT_FD = 3;
const PROGRESS_INTERVAL_MS = 500;

/** The entry point of a worker that does `work`. It returns the exit code. */
export function workerOf(work: Work): (args: string[]) => Promise<number> {
  return async (args) => {
    process.umask(0o022);
    try {
      say({ value: work(args, { progress: progressTeller() }) });
      return 0;
    } catch (thrown) {
      const error = firstError(thrown);
      const isKnown = error instanceof MachinedError || errnoNameOf(error) !== null;
      const text = error instanceof Error ? (isKnown ? error.message : error.stack) : String(error);
      process.stderr.write(`<${isKnown ? 6 : 3}>${text}\n`);
      say(describe(error));
      return 1;
    }
  };
}

function say(line: Plain): void {
  writeSync(RESULT_FD, `${JSON.stringify(line)}\n`);
}

/** Tells no more often than anybody can look. */
function progressTeller(): (progress: Plain) => void {
  let next = performance.now() + PROGRESS_INTERVAL_MS;
  return (progress) => {
    if (performance.now() < next) return;
    next = performance.now() + PROGRESS_INTERVAL_MS;
    say({ progress });
  };
}

/** An error as the daemon rebuilds it; its text is what the caller will read. */
function describe(error: unknown): Plain {
  if (error instanceof MachinedError) return { code: error.code, message: error.message };
  const errno = errnoNameOf(error);
  if (errno === null) return { message: "Internal error, see the log of the service" };
  const isOwnText = error instanceof Error && error.name === "ErrnoError";
  return { errno, message: isOwnText ? error.message : errnoText(errno) };
}
