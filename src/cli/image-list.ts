// `machinectl list-images`: a table of the images that machines can be started from (machinectl(1), "list-images").
import { sortedByBytes } from "../base/byte-order.ts";
import { formatBytes, formatTimestamp, UINT64_MAX, type Zone } from "../base/format.ts";
import { printTable } from "./list.ts";
import { type ListedImage, listedImages } from "./listed-images.ts";
import type { Session } from "./session.ts";
import type { Cell, Table } from "./table.ts";

const COLUMNS = ["name", "type", "ro", "usage", "created", "modified"];

function text(value: string): Cell {
  return { text: value, json: value };
}

const READ_ONLY: Cell = { text: "yes", json: true, color: "red" };
const WRITABLE: Cell = { text: "no", json: false };

function size(bytes: number | bigint): Cell {
  return { text: formatBytes(BigInt(bytes)), json: bytes === UINT64_MAX ? null : bytes, alignRight: true };
}

/** Times of one second are written alike. */
function timeCell(zone: Zone): (usec: number | bigint) => Cell {
  const texts = new Map<number, string>();
  return (usec) => {
    // The time 0 is none.
    const second = Number(usec) === 0 ? -1 : Math.floor(Number(usec) / 1e6);
    let text = texts.get(second);
    if (text === undefined) {
      text = formatTimestamp(BigInt(usec), zone) || "-";
      texts.set(second, text);
    }
    return { text, json: usec };
  };
}

/** One cell for all that show the same: of a thousand images most columns have few values. */
function once<T>(make: (value: T) => Cell): (value: T) => Cell {
  const made = new Map<T, Cell>();
  return (value) => {
    const known = made.get(value);
    if (known !== undefined) return known;
    const cell = make(value);
    made.set(value, cell);
    return cell;
  };
}

function tableOf(images: readonly ListedImage[], zone: Zone): Table {
  const [type, usage, moment] = [once(text), once(size), once(timeCell(zone))];
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
  printTable(
    session,
    tableOf(
      sortedByBytes(shown, ({ name }) => name),
      zone,
    ),
    "images",
  );
  return 0;
}
