// Logs which files of a copy lack attributes, at most MOST_LINES of them.

import { printError } from "../../kernel/terminal/print.ts";

const MOST_LINES = 20;

/** Logs each file that could not be copied with all its attributes, up to a limit. */
export function lossReporter(): (path: string, what: readonly string[]) => void {
  let lines = 0;
  return (path, what) => {
    if (lines++ > MOST_LINES) return;
    const text =
      lines > MOST_LINES
        ? "More files lack attributes"
        : `The copy of ${JSON.stringify(path)} lacks ${what.join(", ")}`;
    printError(`<4>${text}\n`);
  };
}
