// The columns of machinectl's `list-images`.
import { onOneLine } from "../../base/text/control-characters.ts";
import { formatBytes, formatTimestamp, UINT64_MAX } from "../../base/text/format.ts";
import { IMAGE_TYPES } from "../../base/vocabulary/image-class.ts";
import type { Cell } from "../format/table.ts";
import type { CellContext, Column } from "../list/column.ts";
import type { ListedImage } from "./list-rows.ts";

function text(value: string): Cell {
  return { text: onOneLine(value), json: value };
}

const READ_ONLY: Cell = { text: "yes", json: true, color: "red" };
const WRITABLE: Cell = { text: "no", json: false };

function size(bytes: number | bigint): Cell {
  return { text: formatBytes(BigInt(bytes)), json: bytes === UINT64_MAX ? null : bytes, alignRight: true };
}

function moment(usec: number | bigint, { zone }: Pick<CellContext, "zone">): Cell {
  return { text: formatTimestamp(BigInt(usec), zone) || "-", json: usec };
}

/** The columns of `list-images`. */
export const IMAGE_COLUMNS: readonly Column<ListedImage>[] = [
  {
    key: "name",
    aliases: ["image"],
    type: "text",
    description: "The name of the image",
    isUsual: true,
    cell: ({ name }) => text(name),
  },
  {
    key: "type",
    type: "text",
    values: IMAGE_TYPES.values,
    description: "How the image is stored",
    isUsual: true,
    cell: ({ type }) => text(type),
  },
  {
    key: "ro",
    type: "boolean",
    values: ["yes", "no"],
    description: "Whether the image is read-only",
    isUsual: true,
    cell: ({ isReadOnly }) => (isReadOnly ? READ_ONLY : WRITABLE),
  },
  {
    key: "usage",
    type: "bytes",
    description: "The space that the image takes",
    isUsual: true,
    cell: ({ usage }) => size(usage),
  },
  {
    key: "created",
    type: "time",
    description: "When the image was made; 0 where that is not known",
    isUsual: true,
    cell: ({ createdUsec }, context) => moment(createdUsec, context),
  },
  {
    key: "modified",
    type: "time",
    description: "When the image was changed; 0 where that is not known",
    isUsual: true,
    cell: ({ modifiedUsec }, context) => moment(modifiedUsec, context),
  },
];

function secondOf(usec: number | bigint): number {
  // 0 means that the time is not known; it must not share a cell with the first second of 1970.
  return Number(usec) === 0 ? -1 : Math.floor(Number(usec) / 1e6);
}

/**
 * For columns whose cells repeat: returns the value by which images can share a cell. `isText` says that the cells are
 * printed as text, which shows times without microseconds, so that all times of one second share a cell.
 */
const SHARED: Readonly<Record<string, (image: ListedImage, isText: boolean) => unknown>> = {
  type: ({ type }) => type,
  usage: ({ usage }) => usage,
  created: ({ createdUsec }, isText) => (isText ? secondOf(createdUsec) : createdUsec),
  modified: ({ modifiedUsec }, isText) => (isText ? secondOf(modifiedUsec) : modifiedUsec),
};

/**
 * Returns the cells of all images. Images with the same value in a column share one cell object, which is formatted and
 * measured once: with a thousand images, most columns have few different values.
 */
export function imageCells(
  images: readonly ListedImage[],
  columns: typeof IMAGE_COLUMNS,
  context: CellContext,
  isText: boolean,
): Cell[][] {
  const makers = columns.map(({ key, cell }) => {
    const keyOf = SHARED[key];
    if (keyOf === undefined) return (image: ListedImage) => cell(image, context);
    const made = new Map<unknown, Cell>();
    return (image: ListedImage) => {
      const shared = keyOf(image, isText);
      let known = made.get(shared);
      if (known === undefined) {
        known = cell(image, context);
        made.set(shared, known);
      }
      return known;
    };
  });
  return images.map((image) => makers.map((make) => make(image)));
}
