// `machinectl list-images`: a table of the images that machines can be started from (machinectl(1), "list-images").
import { sortedByBytes } from "../../base/byte-order.ts";
import { onOneLine } from "../../base/control-characters.ts";
import { formatBytes, formatTimestamp, UINT64_MAX, type Zone } from "../../base/format.ts";
import type { Cell, Table } from "../format/table.ts";
import { printTable } from "../session/print-table.ts";
import type { Session } from "../session/session.ts";
import { tableJsonMode } from "../session/settings.ts";
import { type ListedImage, listedImages } from "./list-rows.ts";

const COLUMNS = ["name", "type", "ro", "usage", "created", "modified"];

function text(value: string): Cell {
  return { text: onOneLine(value), json: value };
}

const READ_ONLY: Cell = { text: "yes", json: true, color: "red" };
const WRITABLE: Cell = { text: "no", json: false };

function size(bytes: number | bigint): Cell {
  return { text: formatBytes(BigInt(bytes)), json: bytes === UINT64_MAX ? null : bytes, alignRight: true };
}

function secondOf(usec: number | bigint): number {
  // The time 0 is none.
  return Number(usec) === 0 ? -1 : Math.floor(Number(usec) / 1e6);
}

/** One cell for all that show the same: of a thousand images most columns have few values. */
function once<T>(make: (value: T) => Cell, keyOf: (value: T) => unknown = (value) => value): (value: T) => Cell {
  const made = new Map<unknown, Cell>();
  return (value) => {
    const key = keyOf(value);
    let cell = made.get(key);
    if (cell === undefined) {
      cell = make(value);
      made.set(key, cell);
    }
    return cell;
  };
}

/** `isText`: the microseconds of times are not shown. */
function tableOf(images: readonly ListedImage[], zone: Zone, isText: boolean): Table {
  const [type, usage] = [once(text), once(size)];
  const moment = once(
    (usec: number | bigint): Cell => ({ text: formatTimestamp(BigInt(usec), zone) || "-", json: usec }),
    isText ? secondOf : undefined,
  );
  return {
    columns: COLUMNS,
    rows: images.map((image) => [
      text(image.name),
      type(image.type),
      image.isReadOnly ? READ_ONLY : WRITABLE,
      usage(image.usage),
      moment(image.createdUsec),
      moment(image.modifiedUsec),
    ]),
  };
}

/** The verb `list-images`: sorted by name byte for byte, hidden ones only when all are wanted. */
export async function listImages(session: Session): Promise<number> {
  await session.openPager();
  const [images, zone] = await Promise.all([listedImages(session), session.ports.zone()]);
  const shown = images.filter(({ name }) => session.settings.all || !name.startsWith("."));
  const sorted = sortedByBytes(shown, ({ name }) => name);
  printTable(session, tableOf(sorted, zone, tableJsonMode(session.settings) === null), "images");
  return 0;
}
