// Prints the signals for `machinectl --signal=list` and `--signal=help`.

import { allSignals, signalName } from "../format/signals.ts";
import { renderTable, textCell } from "../format/table.ts";
import type { Session } from "../session/session.ts";

/** Prints all signals: as a table of numbers and names, or as bare names, which begin with the null signal's `0`. */
export function printSignals(session: Session, form: "table" | "names"): void {
  const { output, terminal } = session;
  if (form === "names") {
    output.write(
      `0\n${allSignals()
        .map((signal) => `${signalName(signal)}\n`)
        .join("")}`,
    );
    return;
  }
  const rows = allSignals().map((signal) => [textCell(String(signal)), textCell(`SIG${signalName(signal)}`)]);
  output.write(renderTable({ columns: ["signal", "name"], rows }, { terminal, heading: true, width: null }));
}
