// `machinectl --fleet list`: the records of all machines, as one list.
import { sortedByBytes } from "../../base/byte-order.ts";
import { UTC } from "../../base/text/format.ts";
import type { FleetClient } from "../../fleet/client.ts";
import type { MachineRecord } from "../../fleet/record.ts";
import { textCell } from "../format/table.ts";
import type { HostResult } from "../hosts/result.ts";
import { type Column, usualColumns } from "../list/column.ts";
import { planOf } from "../list/plan.ts";
import { printsColumns } from "../list/print.ts";
import { type ListedMachine, MACHINE_COLUMNS, type MachineNeed, NO_EXTRAS } from "../machine/columns.ts";
import type { Session } from "../session/session.ts";
import { finish } from "./asked.ts";
import { chosenHosts, readingFleet } from "./open.ts";
import { printFleetList } from "./print.ts";

/** A machine of the list, on its host. */
export interface FleetMachine extends ListedMachine {
  readonly host: string;
}

/** The columns whose values are in records. */
const KNOWN: readonly MachineNeed[] = ["release", "addresses"];

/** The columns of the list. */
const FLEET_COLUMNS: readonly Column<FleetMachine, MachineNeed>[] = [
  { key: "host", type: "text", description: "The host", isUsual: true, cell: ({ host }) => textCell(host) },
  ...MACHINE_COLUMNS.filter(({ needs = [] }) => needs.every((need) => KNOWN.includes(need))),
];

/** Returns the machines of records, sorted by host and name. */
export function fleetMachines(records: readonly MachineRecord[]): FleetMachine[] {
  const machines = records.map(
    ({ machine: name, time: _, ...rest }): FleetMachine => ({ ...rest, name, extras: NO_EXTRAS }),
  );
  return sortedByBytes(machines, ({ host, name }) => `${host}\0${name}`);
}

/** The machines of the selected hosts, sorted, and a failure for each host some of whose machines are missing. */
interface FleetList {
  readonly machines: readonly FleetMachine[];
  readonly failures: readonly HostResult[];
}

/** Returns the machines of the selected hosts. */
export async function listFleet(session: Session, fleet: FleetClient): Promise<FleetList> {
  const { machines, incomplete } = await fleet.machines(chosenHosts(session));
  const failures = incomplete.map(({ host, missing }): HostResult => {
    const error =
      missing === 1
        ? "The record of one of its machines is missing on the server"
        : `The records of ${missing} of its machines are missing on the server`;
    return { host, text: "", status: 1, error };
  });
  return { machines: fleetMachines(machines), failures: sortedByBytes(failures, ({ host }) => host) };
}

/** The verb `list`. */
export async function list(session: Session): Promise<number> {
  const { settings, ports } = session;
  await session.openPager();
  if (printsColumns(session, FLEET_COLUMNS)) return 0;
  const usual = usualColumns(FLEET_COLUMNS).filter(({ key }) => key !== "addresses" || settings.maxAddresses > 0);
  const plan = planOf(settings, FLEET_COLUMNS, usual);
  const { machines, failures } = await readingFleet(session, (fleet) => listFleet(session, fleet));
  const mostLines = settings.full ? Number.POSITIVE_INFINITY : settings.maxAddresses;
  const context = { zone: UTC, nowUsec: ports.nowUsec(), mostLines };
  printFleetList(session, machines, plan, { ...context, noun: "machines", results: failures });
  return finish(session, failures);
}
