// The output of `journalctl --output=json`.
import type { Json } from "../format/json.ts";

type JournalEntry = { readonly [field: string]: Json };

/** Returns the entry in a line; null for an incomplete one, at which journalctl was killed. */
function entryIn(line: string): JournalEntry | null {
  try {
    return JSON.parse(line) as JournalEntry;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return null;
  }
}

/** Returns the entries of the output, one of each line. */
export function entriesIn(output: string): JournalEntry[] {
  const lines = output.split("\n").filter((line) => line !== "");
  return lines.map(entryIn).filter((entry) => entry !== null);
}
