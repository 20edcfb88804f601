// `machinectl list`: the registered machines (machinectl(1), "list").
import { UTC } from "../../base/text/format.ts";
import type { Table } from "../format/table.ts";
import { type CellContext, titleOf, usualColumns } from "../list/column.ts";
import { attempt } from "../session/failure.ts";
import { printOnlyTable } from "../session/print-table.ts";
import type { Session } from "../session/session.ts";
import { isPlainList } from "../session/settings.ts";
import { type ListedMachine, MACHINE_COLUMNS, type MachineNeed } from "./columns.ts";
import { listMachines } from "./list-rows.ts";

function tableOf(machines: readonly ListedMachine[], columns: typeof MACHINE_COLUMNS, context: CellContext): Table {
  return {
    columns: columns.map(titleOf),
    rows: machines.map((machine) => columns.map(({ cell }) => cell(machine, context))),
  };
}

/** Prints the list with the options for columns, rows, order and form. Their modules are imported here only. */
async function listChosen(session: Session, usual: typeof MACHINE_COLUMNS, context: CellContext): Promise<void> {
  const [{ planOf }, { printList, printsColumns }, { extrasOf }] = await Promise.all([
    import("../list/plan.ts"),
    import("../list/print.ts"),
    import("./extras.ts"),
  ]);
  if (printsColumns(session, MACHINE_COLUMNS)) return;
  const plan = planOf(session.settings, MACHINE_COLUMNS, usual);
  const machines = await queryMachines(session, plan.needs);
  const facts = machines.map(({ extras }) => extras.facts);
  const extras = await extrasOf(session, facts, plan.needs);
  const rows = machines.map((machine, index) => ({ ...machine, extras: extras[index] ?? machine.extras }));
  printList(session, rows, plan, { ...context, noun: "machines" });
}

function queryMachines(session: Session, needs: ReadonlySet<MachineNeed>): Promise<ListedMachine[]> {
  const wanted = { hidden: session.settings.all, needs };
  return attempt("Could not get machines", () => listMachines(session, wanted));
}

/** The verb `list`. */
export async function list(session: Session): Promise<number> {
  const { settings, ports } = session;
  await session.openPager();
  const mostLines = settings.full ? Number.POSITIVE_INFINITY : settings.maxAddresses;
  const context = { zone: UTC, nowUsec: ports.nowUsec(), mostLines };
  const usual = usualColumns(MACHINE_COLUMNS).filter(({ key }) => key !== "addresses" || settings.maxAddresses > 0);
  if (!isPlainList(settings)) {
    await listChosen(session, usual, context);
    return 0;
  }
  const machines = await queryMachines(session, new Set(usual.flatMap(({ needs }) => needs ?? [])));
  await printOnlyTable(session, tableOf(machines, usual, context), "machines");
  return 0;
}
