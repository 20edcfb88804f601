// The columns of `machinectl stats` and `top`. Text has rounded values; in JSON, the names of the members contain the
// unit.
import { formatBytes } from "../../base/text/format.ts";
import type { Stats } from "../../stats/rates.ts";
import type { Json } from "../format/json.ts";
import type { Cell } from "../format/table.ts";
import { textCell } from "../format/table.ts";
import type { Column } from "../list/column.ts";
import { EXTRA_COLUMNS, type Extra, type Extras } from "../machine/columns.ts";

/** The usage of a machine, and the data of the extra columns. */
export interface StatsRow extends Stats {
  readonly extras: Extras;
}

function bytes(value: number | null): Cell {
  const text = value === null ? "-" : formatBytes(BigInt(Math.round(value)));
  return { text, json: value, alignRight: true, ...(value === null ? { empty: true } : {}) };
}

function percent(value: number | null): Cell {
  const text = value === null ? "-" : value.toFixed(1);
  return { text, json: value, alignRight: true, ...(value === null ? { empty: true } : {}) };
}

function count(value: number | null): Cell {
  return { text: value === null ? "-" : String(value), json: value, alignRight: true };
}

/** Makes a column of numbers. Its members in JSON are the fields of `Stats` that `fields` names. */
function measured<Field extends keyof Stats>(
  row: Pick<Column<Stats>, "key" | "title" | "type" | "description">,
  fields: Readonly<Record<Field, Column<Stats>["type"]>>,
  cell: Column<Stats>["cell"],
): Column<Stats> {
  const names = Object.keys(fields) as Field[];
  const members = (stats: Stats) => Object.fromEntries(names.map((name): [string, Json] => [name, stats[name]]));
  return { ...row, isUsual: true, cell, members, memberTypes: fields };
}

/** The columns with measurements, which `top` also shows. */
export const MEASURED_COLUMNS: readonly Column<Stats>[] = [
  {
    key: "machine",
    aliases: ["name"],
    type: "text",
    description: "The name of the machine",
    isUsual: true,
    cell: ({ machine }) => textCell(machine),
  },
  measured(
    { key: "cpu", title: "cpu%", type: "percent", description: "Time on processors; 100 is one of them" },
    { cpuPercent: "percent", cpuUsec: "microseconds" },
    ({ cpuPercent }) => percent(cpuPercent),
  ),
  measured(
    { key: "memory", type: "bytes", description: "The memory of the machine's unit" },
    { memoryBytes: "bytes" },
    ({ memoryBytes }) => bytes(memoryBytes),
  ),
  measured(
    { key: "limit", type: "bytes", description: "The limit of its memory" },
    { memoryLimitBytes: "bytes" },
    ({ memoryLimitBytes }) => bytes(memoryLimitBytes),
  ),
  measured(
    { key: "swap", type: "bytes", description: "Its memory that was swapped out" },
    { swapBytes: "bytes" },
    ({ swapBytes }) => bytes(swapBytes),
  ),
  measured({ key: "tasks", type: "number", description: "Processes and threads" }, { tasks: "number" }, ({ tasks }) =>
    count(tasks),
  ),
  measured(
    { key: "read", title: "read/s", type: "bytes", description: "Bytes read from disks each second" },
    { readBytesPerSecond: "bytes" },
    ({ readBytesPerSecond }) => bytes(readBytesPerSecond),
  ),
  measured(
    { key: "write", title: "write/s", type: "bytes", description: "Bytes written to disks each second" },
    { writtenBytesPerSecond: "bytes" },
    ({ writtenBytesPerSecond }) => bytes(writtenBytesPerSecond),
  ),
  measured(
    { key: "rx", title: "rx/s", type: "bytes", description: "Bytes received from the network each second" },
    { receivedBytesPerSecond: "bytes" },
    ({ receivedBytesPerSecond }) => bytes(receivedBytesPerSecond),
  ),
  measured(
    { key: "tx", title: "tx/s", type: "bytes", description: "Bytes sent to the network each second" },
    { sentBytesPerSecond: "bytes" },
    ({ sentBytesPerSecond }) => bytes(sentBytesPerSecond),
  ),
  measured(
    { key: "pressure", type: "percent", description: "Time that was spent waiting for processors, memory and disks" },
    { cpuPressure: "percent", memoryPressure: "percent", ioPressure: "percent" },
    ({ cpuPressure, memoryPressure, ioPressure }) => {
      const all = [cpuPressure, memoryPressure, ioPressure];
      const text = all.every((value) => value === null) ? "-" : all.map((value) => value?.toFixed(1) ?? "-").join(" ");
      const known = all.filter((value) => value !== null);
      return { text, json: known.length === 0 ? null : Math.max(...known), alignRight: true };
    },
  ),
];

/** The columns of `stats`. */
export const STATS_COLUMNS: readonly Column<StatsRow, Extra>[] = [...MEASURED_COLUMNS, ...EXTRA_COLUMNS];
