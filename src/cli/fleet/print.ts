// Prints lists of machines of the fleet.
import { formatJson } from "../format/json.ts";
import type { HostResult } from "../hosts/result.ts";
import type { Plan } from "../list/plan.ts";
import { arranged, type ListForm, printList, rowJson } from "../list/print.ts";
import type { Session } from "../session/session.ts";
import { tableJsonMode } from "../session/settings.ts";

/** Prints the rows by the plan; as JSON, with an object for each host that has failed. */
export function printFleetList<Row, Need extends string>(
  session: Session,
  rows: readonly Row[],
  plan: Plan<Row, Need>,
  { results, ...form }: ListForm & { readonly results: readonly HostResult[] },
): void {
  const { settings, output, terminal } = session;
  const mode = tableJsonMode(settings);
  if (mode === null) {
    printList(session, rows, plan, form);
    return;
  }
  const failures = results.filter(({ error }) => error !== null).map(({ host, error }) => ({ host, error }));
  const objects = arranged(rows, plan, form).map((row) => rowJson(row, plan.shown, form, settings.list.jsonVersion));
  output.write(formatJson([...objects, ...failures], mode, terminal.paint));
}
