// `machinectl list-images`: a table of the images that machines can be started from (machinectl(1), "list-images").
import { formatBytes, formatTimestamp, UINT64_MAX, type Zone } from "../base/format.ts";
import { attempt } from "./failure.ts";
import { printTable } from "./list.ts";
import type { Session } from "./session.ts";
import type { Cell, Table } from "./table.ts";

/** A row of ListImages(): name, type, read-only, created, modified (µs), usage (bytes), object path. */
type Row = readonly [string, string, boolean, bigint, bigint, bigint, string];

const COLUMNS = ["name", "type", "ro", "usage", "created", "modified"];

function text(value: string): Cell {
  return { text: value, json: value };
}

function mark(isReadOnly: boolean): Cell {
  return isReadOnly ? { text: "yes", json: true, color: "red" } : { text: "no", json: false };
}

function size(bytes: bigint): Cell {
  return { text: formatBytes(bytes), json: bytes === UINT64_MAX ? null : bytes, alignRight: true };
}

function time(usec: bigint, zone: Zone): Cell {
  return { text: formatTimestamp(usec, zone) || "-", json: usec };
}

function tableOf(rows: readonly Row[], zone: Zone): Table {
  return {
    columns: COLUMNS,
    rows: rows.map(([name, type, isReadOnly, created, modified, usage]) => [
      text(name),
      text(type),
      mark(isReadOnly),
      size(usage),
      time(created, zone),
      time(modified, zone),
    ]),
  };
}

/** The verb `list-images`: sorted by name byte for byte, hidden ones only when all are wanted. */
export async function listImages(session: Session): Promise<number> {
  await session.openPager();
  const [images] = await attempt("Could not get images", () => session.manager("ListImages"));
  // a(ssbttto) by definition of the interface.
  const rows = (images as readonly Row[]).filter(([name]) => session.settings.all || !name.startsWith("."));
  rows.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  printTable(session, tableOf(rows, await session.ports.zone()), "images");
  return 0;
}
