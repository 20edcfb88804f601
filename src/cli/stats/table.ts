// How what machines use is shown: columns for people, numbers with their units in the keys for programs.
import { formatBytes } from "../../base/format.ts";
import type { Stats } from "../../stats/rates.ts";
import type { Json } from "../format/json.ts";
import type { Cell, Table } from "../format/table.ts";
import { textCell } from "../format/table.ts";

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

interface Column {
  readonly title: string;
  readonly cell: (stats: Stats) => Cell;
}

/** The columns in their order. */
export const COLUMNS: readonly Column[] = [
  { title: "machine", cell: ({ machine }) => textCell(machine) },
  { title: "cpu%", cell: ({ cpuPercent }) => percent(cpuPercent) },
  { title: "memory", cell: ({ memoryBytes }) => bytes(memoryBytes) },
  { title: "limit", cell: ({ memoryLimitBytes }) => bytes(memoryLimitBytes) },
  { title: "swap", cell: ({ swapBytes }) => bytes(swapBytes) },
  { title: "tasks", cell: ({ tasks }) => count(tasks) },
  { title: "read/s", cell: ({ readBytesPerSecond }) => bytes(readBytesPerSecond) },
  { title: "write/s", cell: ({ writtenBytesPerSecond }) => bytes(writtenBytesPerSecond) },
  { title: "rx/s", cell: ({ receivedBytesPerSecond }) => bytes(receivedBytesPerSecond) },
  { title: "tx/s", cell: ({ sentBytesPerSecond }) => bytes(sentBytesPerSecond) },
  {
    title: "pressure",
    cell: ({ cpuPressure, memoryPressure, ioPressure }) => {
      const all = [cpuPressure, memoryPressure, ioPressure];
      const text = all.every((value) => value === null) ? "-" : all.map((value) => value?.toFixed(1) ?? "-").join(" ");
      return { text, json: null, alignRight: true };
    },
  },
];

export function statsTable(stats: readonly Stats[]): Table {
  return { columns: COLUMNS.map(({ title }) => title), rows: stats.map((one) => COLUMNS.map(({ cell }) => cell(one))) };
}

/** One machine as JSON: the keys of `Stats`. */
export function statsJson(stats: Stats): Json {
  return { ...stats };
}
