// Renders the screen of `machinectl top`: a table of machines that fits the terminal, or the page of one machine. Pure
// functions from measurements and a size to text.
import { ellipsize, formatBytes, UTC } from "../../base/text/format.ts";
import type { Stats } from "../../stats/rates.ts";
import type { Cell, Table } from "../format/table.ts";
import { renderTable, textCell, withoutExcess } from "../format/table.ts";
import type { Terminal } from "../format/terminal.ts";
import { type CellContext, titleOf } from "../list/column.ts";
import { MEASURED_COLUMNS } from "./table.ts";

/** The sort orders, by the key that selects them. */
export const ORDERS = {
  c: { title: "CPU", value: (stats: Stats) => stats.cpuPercent ?? 0 },
  m: { title: "memory", value: (stats: Stats) => stats.memoryBytes ?? 0 },
  i: {
    title: "input and output",
    value: ({ readBytesPerSecond, writtenBytesPerSecond }: Stats) =>
      (readBytesPerSecond ?? 0) + (writtenBytesPerSecond ?? 0),
  },
  n: {
    title: "network",
    value: ({ receivedBytesPerSecond, sentBytesPerSecond }: Stats) =>
      (receivedBytesPerSecond ?? 0) + (sentBytesPerSecond ?? 0),
  },
  p: {
    title: "pressure",
    value: ({ cpuPressure, memoryPressure, ioPressure }: Stats) =>
      Math.max(cpuPressure ?? 0, memoryPressure ?? 0, ioPressure ?? 0),
  },
} as const;

/** The key that selects an order. */
export type Order = keyof typeof ORDERS;

/** Values of a machine in the last minute, one for each second, oldest first. */
export interface History {
  readonly cpuPercent: readonly number[];
  readonly memoryBytes: readonly number[];
}

const BARS = "▁▂▃▄▅▆▇█";

/**
 * Returns a line of `width` bars for values from 0 to the largest of them, or to `least` if all are smaller. The newest
 * value is on the right.
 */
export function sparkline(values: readonly number[], width: number, least: number): string {
  const shown = values.slice(-width);
  const most = Math.max(least, ...shown);
  const bars = shown.map(
    (value) => BARS[Math.min(Math.floor((value / most) * BARS.length), BARS.length - 1)] ?? BARS[0],
  );
  return bars.join("").padStart(width);
}

/** The context for cells of MEASURED_COLUMNS, none of which contains a time. */
const NO_TIMES: CellContext = { zone: UTC, nowUsec: 0n, mostLines: 1 };

const SPARK_COLUMNS = 12;
/** The smallest width of a terminal for which bars are shown. */
const SPARK_FROM = 120;
/** Lines that are not machines: the head, an empty line, the heading, the keys. */
const FIXED_LINES = 4;

/** The state of the screen. */
export interface View {
  readonly stats: readonly Stats[];
  readonly histories: ReadonlyMap<string, History>;
  readonly order: Order;
  /** The machine whose line is marked; null for none. */
  readonly selected: string | null;
  /** The size of the terminal. */
  readonly rows: number;
  readonly columns: number;
  readonly terminal: Terminal;
}

/** Returns the machines sorted by an order, the largest value first; equal ones by name. */
export function ordered(stats: readonly Stats[], order: Order): Stats[] {
  const { value } = ORDERS[order];
  return [...stats].sort((a, b) => value(b) - value(a) || (a.machine < b.machine ? -1 : 1));
}

function total(stats: readonly Stats[], value: (one: Stats) => number | null): number {
  return stats.reduce((sum, one) => sum + (value(one) ?? 0), 0);
}

const KEYS = ["c CPU", "m memory", "i in/out", "n network", "p pressure", "Up Down Enter"];
const QUIT = "q quit";

/** Returns the line of keys: as many as fit, and always the one that ends the program. */
function keysLine(columns: number): string {
  let count = KEYS.length;
  const line = () => [...KEYS.slice(0, count), QUIT].join("  ");
  while (count > 0 && line().length > columns) count--;
  return line();
}

/** Returns the lines of the screen with the table, at most `rows`. */
export function tableScreen(view: View): string[] {
  const { stats, histories, order, selected, rows, columns, terminal } = view;
  const all = ordered(stats, order);
  const room = Math.max(rows - FIXED_LINES, 1);
  // Scrolls so that the selected line is visible.
  const at = Math.max(
    all.findIndex(({ machine }) => machine === selected),
    0,
  );
  const first = Math.min(Math.max(at - room + 1, 0), Math.max(all.length - room, 0));
  const shown = all.slice(first, first + room);
  const hasBars = terminal.utf8 && columns >= SPARK_FROM;
  const bars = (one: Stats): Cell[] => {
    const history = histories.get(one.machine) ?? { cpuPercent: [], memoryBytes: [] };
    return [sparkline(history.cpuPercent, SPARK_COLUMNS, 100), sparkline(history.memoryBytes, SPARK_COLUMNS, 1)].map(
      (text) => ({ text, json: null }),
    );
  };
  const form = { terminal, heading: true, width: columns };
  const whole: Table = {
    columns: [" ", ...MEASURED_COLUMNS.map(titleOf), ...(hasBars ? ["cpu", "memory"] : [])],
    rows: shown.map((one) => [
      { text: one.machine === selected ? ">" : " ", json: null },
      ...MEASURED_COLUMNS.map(({ cell }) => cell(one, NO_TIMES)),
      ...(hasBars ? bars(one) : []),
    ]),
  };
  const cpu = total(stats, ({ cpuPercent }) => cpuPercent).toFixed(1);
  const isMemoryKnown = stats.length === 0 || stats.some(({ memoryBytes }) => memoryBytes !== null);
  const memory = isMemoryKnown ? formatBytes(BigInt(Math.round(total(stats, (one) => one.memoryBytes)))) : "-";
  const head = `${stats.length} ${stats.length === 1 ? "machine" : "machines"}, CPU ${cpu}%, memory ${memory}, by ${ORDERS[order].title}`;
  const { table } = withoutExcess(whole, form, 1);
  const text = renderTable(table, form);
  return [
    ellipsize(head, columns, terminal.glyphs.ellipsis),
    "",
    ...text.trimEnd().split("\n"),
    keysLine(columns),
  ].slice(0, rows);
}

/** What the page of a machine shows beside its values. */
interface Details {
  /** Its addresses and processes. */
  readonly lines: readonly string[];
  /** The last entries of its log, oldest first. */
  readonly log: readonly string[];
}

/** Returns as many of the details as fit; where not all do, a third of the lines is for the last of the log. */
function fittingDetails({ lines, log }: Details, room: number): string[] {
  const count = Math.min(log.length, Math.max(Math.floor(room / 3), room - lines.length - 1));
  if (count <= 0) return lines.slice(0, Math.max(room, 0));
  return [...lines.slice(0, Math.max(room - count - 1, 0)), "", ...log.slice(-count)];
}

/** Returns the lines of the page of one machine: its values, their last minute, and as many of `details` as fit. */
export function machineScreen(view: View, one: Stats, details: Details): string[] {
  const { histories, rows, columns, terminal } = view;
  const history = histories.get(one.machine) ?? { cpuPercent: [], memoryBytes: [] };
  const width = Math.min(Math.max(columns - 12, 10), 60);
  const lines = MEASURED_COLUMNS.slice(1).map(
    (column) => `${titleOf(column).toUpperCase().padStart(10)}  ${column.cell(one, NO_TIMES).text}`,
  );
  const bars = terminal.utf8
    ? [
        `${"CPU".padStart(10)}  ${sparkline(history.cpuPercent, width, 100)}`,
        `${"MEMORY".padStart(10)}  ${sparkline(history.memoryBytes, width, 1)}`,
      ]
    : [];
  const head = [textCell(one.machine).text, "", ...lines, "", ...bars, ""];
  const page = [...head, ...fittingDetails(details, rows - 1 - head.length)];
  return [...page.slice(0, Math.max(rows - 1, 1)), "Esc back  q quit"];
}
