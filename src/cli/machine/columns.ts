// The columns of `machinectl list`, and the columns about a machine that other lists of machines share.
import { formatBytes, formatSpan } from "../../base/text/format.ts";
import { type Cell, textCell } from "../format/table.ts";
import type { Column } from "../list/column.ts";

/** Data that is queried only for columns that are shown: `facts` from the manager, the others from this host. */
export type Extra = "facts" | "hostname" | "memory" | "owner";

/** Properties of a machine from the manager; the other extras are found by means of them. */
export interface ExtraFacts {
  readonly class: string;
  readonly unit: string;
  readonly leaderPid: number;
  readonly rootDirectory: string;
  /** When the machine was registered, in µs since 1970; 0 if that is not known. */
  readonly sinceUsec: number;
  /** The user who registered the machine; null if the manager does not report it. */
  readonly uid: number | null;
}

/** Data for the extra columns of a machine. Each is null if it is not known or was not queried. */
export interface Extras {
  readonly facts: ExtraFacts | null;
  readonly image: string | null;
  readonly hostname: string | null;
  readonly memoryBytes: number | null;
  readonly owner: string | null;
}

/** The data of a list that shows no extra columns. */
export const NO_EXTRAS: Extras = { facts: null, image: null, hostname: null, memoryBytes: null, owner: null };

/** A machine of the list. Fields that are not known are empty. */
export interface ListedMachine {
  readonly name: string;
  readonly class: string;
  readonly service: string;
  readonly os: string;
  readonly version: string;
  readonly addresses: readonly string[];
  readonly extras: Extras;
}

/** All data that columns of `list` can need: os-release and addresses of the machines, and the extras. */
export type MachineNeed = "release" | "addresses" | Extra;

const NUMBER_NONE: Cell = { text: "-", json: null, empty: true, alignRight: true };

function numberCell(value: number | null, text: (value: number) => string): Cell {
  return value === null ? NUMBER_NONE : { text: text(value), json: value, alignRight: true };
}

function addressCell(addresses: readonly string[], mostLines: number): Cell {
  const joined = addresses.join("\n");
  if (joined === "") return { ...textCell(""), list: [] };
  return {
    text: joined,
    json: joined,
    list: addresses,
    ...(mostLines === Number.POSITIVE_INFINITY ? {} : { lines: mostLines }),
  };
}

/** Returns a time span with its two largest units: `3d 4h`. */
function shortSpan(usec: number): string {
  const whole = BigInt(Math.max(Math.floor(usec / 1e6), 0)) * 1_000_000n;
  return whole === 0n ? "0s" : formatSpan(whole).split(" ").slice(0, 2).join(" ");
}

/** Columns that every list of machines can show. */
export const EXTRA_COLUMNS: readonly Column<{ readonly extras: Extras }, Extra>[] = [
  {
    key: "hostname",
    type: "text",
    description: "The host name that a container has for itself; root can look, on the same host",
    needs: ["facts", "hostname"],
    cell: ({ extras }) => textCell(extras.hostname ?? ""),
  },
  {
    key: "image",
    type: "text",
    description: "The image that the machine was started from",
    needs: ["facts"],
    cell: ({ extras }) => textCell(extras.image ?? ""),
  },
  {
    key: "uptime",
    type: "microseconds",
    description: "How long the machine has been registered",
    needs: ["facts"],
    cell: ({ extras: { facts } }, { nowUsec }) => {
      const since = facts?.sinceUsec ?? 0;
      return numberCell(since === 0 ? null : Math.max(Number(nowUsec) - since, 0), shortSpan);
    },
  },
  {
    key: "unit",
    type: "text",
    description: "The unit with all processes of the machine",
    needs: ["facts"],
    cell: ({ extras: { facts } }) => textCell(facts?.unit ?? ""),
  },
  {
    key: "leader",
    type: "number",
    description: "The process whose end is the machine's end",
    needs: ["facts"],
    cell: ({ extras: { facts } }) => numberCell(facts?.leaderPid || null, String),
  },
  {
    key: "owner",
    type: "text",
    description: "The user who registered the machine",
    needs: ["facts", "owner"],
    cell: ({ extras }) => textCell(extras.owner ?? ""),
  },
];

/** Not part of EXTRA_COLUMNS, because `stats` has a memory column of its own. */
const MEMORY: Column<{ readonly extras: Extras }, Extra> = {
  key: "memory",
  type: "bytes",
  description: "The memory of the machine's unit",
  needs: ["facts", "memory"],
  cell: ({ extras }) => numberCell(extras.memoryBytes, (bytes) => formatBytes(BigInt(bytes))),
};

/** The columns of `list`. */
export const MACHINE_COLUMNS: readonly Column<ListedMachine, MachineNeed>[] = [
  {
    key: "machine",
    aliases: ["name"],
    type: "text",
    description: "The name of the machine",
    isUsual: true,
    cell: ({ name }) => textCell(name),
  },
  {
    key: "class",
    type: "text",
    values: ["container", "vm", "host"],
    description: "What the machine is",
    isUsual: true,
    cell: (machine) => textCell(machine.class),
  },
  {
    key: "service",
    type: "text",
    description: "The program that runs the machine",
    isUsual: true,
    cell: ({ service }) => textCell(service),
  },
  {
    key: "os",
    type: "text",
    description: "ID of the machine's os-release file",
    isUsual: true,
    needs: ["release"],
    cell: ({ os }) => textCell(os),
  },
  {
    key: "version",
    type: "text",
    description: "VERSION_ID of the machine's os-release file",
    isUsual: true,
    needs: ["release"],
    cell: ({ version }) => textCell(version),
  },
  {
    key: "addresses",
    type: "list",
    description: "The IP addresses of the machine; without --json-version=2 one text in JSON, a line for each",
    isUsual: true,
    needs: ["addresses"],
    cell: ({ addresses }, { mostLines }) => addressCell(addresses, mostLines),
  },
  ...EXTRA_COLUMNS.slice(0, 3),
  MEMORY,
  ...EXTRA_COLUMNS.slice(3),
];
