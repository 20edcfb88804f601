// Runs an operation of the daemon: progress and result are written to descriptor 3, one JSON object a line
// (src/registry/operation.ts reads them); details for the admin are written to stderr.
import { compileAsUsual } from "../../base/compiler.ts";
import { errnoText } from "../../base/errno.ts";
import { errnoNameOf, firstError, MachinedError } from "../../base/error.ts";
import { writeAll } from "../../kernel/terminal/own-streams.ts";
import type { Plain } from "../../registry/operation.ts";
import { ERROR, INFO, logLine } from "./log-line.ts";

export interface Telling {
  /** Reports the progress; at most twice a second. */
  progress(progress: Plain): void;
}

/** Does the work; returns a value for the daemon, or throws. */
type Work = (args: readonly string[], tell: Telling) => Plain;

const RESULT_FD = 3;
const PROGRESS_INTERVAL_MS = 500;
/** Work that has taken so long since the start of the program is compiled as usual. */
const LONG_WORK_MS = 50;

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
      logLine(isKnown ? INFO : ERROR, text);
      say(describe(error));
      return 1;
    }
  };
}

function say(line: Plain): void {
  writeAll(RESULT_FD, `${JSON.stringify(line)}\n`);
}

/** Limits the rate of progress reports; the first of long work changes how it is compiled. */
function progressTeller(): (progress: Plain) => void {
  let next = performance.now() + PROGRESS_INTERVAL_MS;
  let isLong = false;
  return (progress) => {
    const now = performance.now();
    if (!isLong && now > LONG_WORK_MS) {
      isLong = true;
      compileAsUsual();
    }
    if (now < next) return;
    next = now + PROGRESS_INTERVAL_MS;
    say({ progress });
  };
}

/** Returns an error in the form from which the daemon rebuilds it; its text is sent to the caller. */
function describe(error: unknown): Plain {
  if (error instanceof MachinedError) return { code: error.code, message: error.message };
  const errno = errnoNameOf(error);
  if (errno === null) return { message: "Internal error, see the log of the service" };
  const isOwnText = error instanceof Error && error.name === "ErrnoError";
  return { errno, message: isOwnText ? error.message : errnoText(errno) };
}
