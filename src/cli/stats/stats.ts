// `machinectl stats`: prints the resource usage of machines as a table or as JSON, once or repeatedly (--iterations=).
import { UTC } from "../../base/text/format.ts";
import { type Plan, planOf } from "../list/plan.ts";
import { printList, printsColumns } from "../list/print.ts";
import type { Extra } from "../machine/columns.ts";
import { extrasOf } from "../machine/extras.ts";
import { PROC_HIDES } from "../session/hidden-processes.ts";
import type { Session } from "../session/session.ts";
import { MeasuredMachines } from "./machines.ts";
import { STATS_COLUMNS, type StatsRow } from "./table.ts";

async function print(session: Session, machines: MeasuredMachines, plan: Plan<StatsRow, Extra>): Promise<void> {
  const stats = machines.read();
  const facts = stats.map(({ machine }) => {
    const known = machines.factsOf(machine);
    return known === null ? null : { ...known, sinceUsec: Number(known.sinceUsec) };
  });
  const extras = await extrasOf(session, facts, plan.needs);
  const rows = stats.map((one, index): StatsRow => ({ ...one, extras: extras[index] as StatsRow["extras"] }));
  const nowUsec = session.ports.nowUsec();
  const isRepeated = session.settings.iterations > 1;
  printList(session, rows, plan, { zone: UTC, nowUsec, mostLines: 1, noun: "machines", isRepeated, hasNumbers: true });
}

/** The verb `stats`. Rates are computed from two measurements, so the first output comes after --delay=. */
export async function stats(session: Session, names: readonly string[]): Promise<number> {
  const { delayMs, iterations } = session.settings;
  if (printsColumns(session, STATS_COLUMNS)) return 0;
  const plan = planOf(session.settings, STATS_COLUMNS);
  using machines = new MeasuredMachines(session, names);
  await machines.refresh();
  const { hidden } = machines;
  if (hidden.length > 0) session.report.warning(`Not shown: ${hidden.join(", ")}: ${PROC_HIDES}.`);
  machines.read();
  const interrupt = session.ports.interrupted("or-reader-left");
  let isInterrupted = false;
  void interrupt.promise.then(() => {
    isInterrupted = true;
  });
  try {
    for (let round = 0; round < iterations && !isInterrupted; round++) {
      await Promise.race([Bun.sleep(delayMs), interrupt.promise]);
      if (isInterrupted) break;
      await print(session, machines, plan);
      if (session.output.isOver) break;
      if (round + 1 < iterations) await machines.refresh();
    }
  } finally {
    interrupt.stop();
  }
  return 0;
}
