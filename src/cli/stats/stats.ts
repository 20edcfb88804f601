// `machinectl stats`: what machines use, as a table or as JSON; once, or again and again.

import type { Stats } from "../../stats/rates.ts";
import { formatJson } from "../format/json.ts";
import { printTable } from "../session/print-table.ts";
import type { Session } from "../session/session.ts";
import { tableJsonMode } from "../session/settings.ts";
import { MeasuredMachines } from "./machines.ts";
import { statsJson, statsTable } from "./table.ts";

function print(session: Session, stats: readonly Stats[], isRepeated: boolean): void {
  const mode = tableJsonMode(session.settings);
  if (mode === null) printTable(session, statsTable(stats), "machines");
  // A line for each machine where there are many moments, an array where there is one.
  else if (isRepeated)
    for (const one of stats) session.output.write(formatJson(statsJson(one), "short", session.terminal.paint));
  else session.output.write(formatJson(stats.map(statsJson), mode, session.terminal.paint));
}

/** The verb `stats`. Rates need two looks, so the first output comes after `--delay=`. */
export async function stats(session: Session, names: readonly string[]): Promise<number> {
  const { delayMs, iterations } = session.settings;
  using machines = new MeasuredMachines(session, names);
  await machines.refresh();
  machines.read();
  const interrupt = session.ports.interrupted();
  let isInterrupted = false;
  void interrupt.promise.then(() => {
    isInterrupted = true;
  });
  try {
    for (let round = 0; round < iterations && !isInterrupted; round++) {
      await Promise.race([Bun.sleep(delayMs), interrupt.promise]);
      if (isInterrupted) break;
      const now = machines.read();
      print(session, now, iterations > 1);
      if (round + 1 < iterations) await machines.refresh();
    }
  } finally {
    interrupt.stop();
  }
  return 0;
}
