// The columns of importctl's `list-transfers` and `list-images`.
import type { Wire } from "../../api/table.ts";
import { formatBytes, formatTimestamp, UINT64_MAX, type Zone } from "../../base/text/format.ts";
import { IMAGE_CLASSES, IMAGE_TYPES } from "../../base/vocabulary/image-class.ts";
import { PROGRESS_UNKNOWN } from "../../base/vocabulary/transfer.ts";
import { type Cell, textCell } from "../format/table.ts";
import type { Column } from "../list/column.ts";

/** A transfer of the list; `progress` is a share from 0 to 1, or PROGRESS_UNKNOWN. */
export interface ListedTransfer {
  readonly id: number;
  readonly type: string;
  readonly remote: string;
  readonly local: string;
  readonly class: string;
  readonly progress: number;
}

function progressCell(progress: number): Cell {
  if (progress < 0 || progress === PROGRESS_UNKNOWN) return { ...textCell(""), alignRight: true };
  const percent = Math.round(progress * 100);
  return { text: `${percent}%`, json: percent, alignRight: true };
}

function linkCell(url: string): Cell {
  // Imports and exports have no URL; the original prints an empty cell for them, not a dash.
  return url === "" ? { text: "", json: "" } : { ...textCell(url), link: url };
}

/** The columns of `list-transfers`. */
export const TRANSFER_COLUMNS: readonly Column<ListedTransfer>[] = [
  {
    key: "id",
    type: "number",
    description: "The number of the transfer",
    isUsual: true,
    cell: ({ id }) => ({ text: String(id), json: id, alignRight: true }),
  },
  {
    key: "progress",
    type: "percent",
    description: "How much of the transfer is done",
    isUsual: true,
    cell: ({ progress }) => progressCell(progress),
  },
  {
    key: "type",
    type: "text",
    description: "What is done: pull-tar, import-raw and so on",
    isUsual: true,
    cell: ({ type }) => textCell(type),
  },
  {
    key: "class",
    type: "text",
    values: IMAGE_CLASSES.values,
    description: "What the image is for",
    isUsual: true,
    cell: (transfer) => textCell(transfer.class),
  },
  {
    key: "local",
    aliases: ["name"],
    type: "text",
    description: "The name of the image on this host",
    isUsual: true,
    cell: ({ local }) => textCell(local),
  },
  {
    key: "remote",
    type: "text",
    description: "Where a download comes from; empty for imports and exports",
    isUsual: true,
    cell: ({ remote }) => linkCell(remote),
  },
];

/**
 * A row of ListImages(): class, name, type, path, read-only, created, modified, usage, exclusive usage, limit,
 * exclusive limit.
 */
export type ImageRow = Wire["a(ssssbtttttt)"][number];

/** No time or size: the dash is not grey, as that of an empty text is. */
const UNKNOWN: Cell = { text: "-", json: null };

function bytesCell(bytes: bigint): Cell {
  return bytes === UINT64_MAX ? UNKNOWN : { text: formatBytes(bytes), json: bytes };
}

function timeCell(usec: bigint, zone: Zone): Cell {
  const text = formatTimestamp(usec, zone);
  return text === "" ? { ...UNKNOWN, json: usec } : { text, json: usec };
}

const ACCESS = {
  ro: { text: "ro", json: true, color: "red" },
  rw: { text: "rw", json: false, color: "brightGreen" },
} as const satisfies Readonly<Record<string, Cell>>;

/** The columns of `list-images`. */
export const IMAGE_COLUMNS: readonly Column<ImageRow>[] = [
  {
    key: "class",
    type: "text",
    values: IMAGE_CLASSES.values,
    description: "What the image is for",
    isUsual: true,
    cell: ([imageClass]) => textCell(imageClass),
  },
  {
    key: "name",
    aliases: ["image"],
    type: "text",
    description: "The name of the image",
    isUsual: true,
    cell: ([, name]) => textCell(name),
  },
  {
    key: "type",
    type: "text",
    values: IMAGE_TYPES.values,
    description: "How the image is stored",
    isUsual: true,
    cell: ([, , type]) => textCell(type),
  },
  {
    key: "path",
    type: "text",
    description: "Where the image is",
    isUsual: true,
    cell: ([, , , path]) => textCell(path),
  },
  {
    key: "ro",
    type: "boolean",
    values: ["ro", "rw"],
    description: "Whether the image is read-only",
    isUsual: true,
    cell: ([, , , , isReadOnly]) => (isReadOnly ? ACCESS.ro : ACCESS.rw),
  },
  {
    key: "crtime",
    aliases: ["created"],
    type: "time",
    description: "When the image was made; 0 where that is not known",
    isUsual: true,
    cell: ([, , , , , created], { zone }) => timeCell(created, zone),
  },
  {
    key: "mtime",
    aliases: ["modified"],
    type: "time",
    description: "When the image was changed; 0 where that is not known",
    isUsual: true,
    cell: ([, , , , , , modified], { zone }) => timeCell(modified, zone),
  },
  {
    key: "usage",
    type: "bytes",
    description: "The space that the image takes",
    isUsual: true,
    cell: ([, , , , , , , usage]) => bytesCell(usage),
  },
  {
    key: "limit",
    type: "bytes",
    description: "The space that the image may take",
    isUsual: true,
    cell: ([, , , , , , , , , limit]) => bytesCell(limit),
  },
];
