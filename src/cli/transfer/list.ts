// The verbs that look after transfers: list-transfers, cancel-transfer; and importctl's list-images.
import type { Wire } from "../../api/table.ts";
import { compareBytes } from "../../base/byte-order.ts";
import { formatBytes, formatTimestamp, UINT64_MAX, type Zone } from "../../base/format.ts";
import { PROGRESS_UNKNOWN } from "../../base/vocabulary/transfer.ts";
import { type Cell, type Table, textCell } from "../format/table.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { attempt, Failure } from "../session/failure.ts";
import { printTable } from "../session/print-table.ts";
import type { Session } from "../session/session.ts";
import { callFirstKnown, type ManagerCall, withTransferDaemon } from "./service.ts";

/** Calls the manager, by the first of the calls that it knows. */
function ask<Name extends ManagerCall["member"]>(session: Session, calls: readonly ManagerCall<Name>[]) {
  return withTransferDaemon(session, (bus) => callFirstKnown(session, bus, calls));
}

interface ListedTransfer {
  readonly id: number;
  readonly type: string;
  readonly remote: string;
  readonly local: string;
  readonly class: string;
  readonly progress: number;
}

async function transfersOf(session: Session): Promise<ListedTransfer[]> {
  const wanted = session.settings.imageClass ?? "";
  const reply = await ask<"ListTransfersEx" | "ListTransfers">(session, [
    { member: "ListTransfersEx", args: { class: wanted, flags: 0n } },
    { member: "ListTransfers", args: {} },
  ]);
  if (reply.member === "ListTransfersEx") {
    return reply.result.transfers.map(([id, type, remote, local, name, progress]) => {
      return { id, type, remote, local, class: name, progress };
    });
  }
  // Daemons that know no classes know machines only.
  const all = reply.result.transfers.map(([id, type, remote, local, progress]) => {
    return { id, type, remote, local, class: "machine", progress };
  });
  return all.filter((row) => wanted === "" || row.class === wanted);
}

function byLocalName(a: ListedTransfer, b: ListedTransfer): number {
  return compareBytes(a.local, b.local) || a.id - b.id;
}

function progressCell(progress: number): Cell {
  if (progress < 0 || progress === PROGRESS_UNKNOWN) return { ...textCell(""), alignRight: true };
  const percent = Math.round(progress * 100);
  return { text: `${percent}%`, json: percent, alignRight: true };
}

function linkCell(url: string): Cell {
  // Imports and exports come from nowhere: a blank, as the original has it.
  return url === "" ? { text: "", json: "" } : { ...textCell(url), link: url };
}

/** Prints a table; an empty one as JSON is no output at all. */
function print(session: Session, table: Table, noun: string): void {
  if (table.rows.length > 0 || session.settings.json === "off") printTable(session, table, noun);
}

/** The verb `list-transfers`. */
export async function listTransfers(session: Session): Promise<number> {
  await session.openPager();
  const transfers = await attempt("Could not get transfers", () => transfersOf(session));
  const rows = transfers
    .sort(byLocalName)
    .map(({ id, type, remote, local, class: name, progress }): Cell[] => [
      { text: String(id), json: id, alignRight: true },
      progressCell(progress),
      ...[type, name, local].map(textCell),
      linkCell(remote),
    ]);
  print(session, { columns: ["id", "progress", "type", "class", "local", "remote"], rows }, "transfers");
  return 0;
}

/** The numbers of the transfers that are running. */
export async function transferIds(session: Session): Promise<string[]> {
  return (await transfersOf(session)).map(({ id }) => String(id));
}

/** The verb `cancel-transfer`. */
export async function cancelTransfers(session: Session, words: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  for (const word of words) {
    const id = /^\+?[0-9]+$/.test(word) ? Number(word) : Number.NaN;
    if (!(id <= 0xffff_ffff)) throw new Failure(`Failed to parse transfer id: ${word}`);
    const call = { member: "CancelTransfer", args: { transfer_id: id } } as const;
    await attempt("Could not cancel transfer", () => ask(session, [call]));
  }
  return 0;
}

/** Class, name, type, path, whether it is read-only; created, modified, usage, exclusive usage, limit, exclusive limit. */
type ImageRow = Wire["a(ssssbtttttt)"][number];

function bytesCell(bytes: bigint): Cell {
  return bytes === UINT64_MAX ? textCell("") : { text: formatBytes(bytes), json: bytes };
}

function timeCell(usec: bigint, zone: Zone): Cell {
  const text = formatTimestamp(usec, zone);
  return text === "" ? { ...textCell(""), json: usec } : { text, json: usec };
}

function imageCells([name, image, type, path, isReadOnly, created, modified, usage, , limit]: ImageRow, zone: Zone) {
  const access: Cell = {
    text: isReadOnly ? "ro" : "rw",
    json: isReadOnly,
    color: isReadOnly ? "red" : "green",
  };
  return [
    ...[name, image, type, path].map(textCell),
    access,
    timeCell(created, zone),
    timeCell(modified, zone),
    bytesCell(usage),
    bytesCell(limit),
  ];
}

function byClassAndName(a: ImageRow, b: ImageRow): number {
  return compareBytes(a[0], b[0]) || compareBytes(a[1], b[1]);
}

async function imagesOf(session: Session): Promise<ImageRow[]> {
  const args = { class: session.settings.imageClass ?? "", flags: 0n };
  const { result } = await ask(session, [{ member: "ListImages", args }]);
  return [...result.images];
}

/** The names of the images of a class or of all, without hidden ones. */
export async function imageNames(session: Session): Promise<string[]> {
  return (await imagesOf(session)).map(([, name]) => name).filter((name) => !name.startsWith("."));
}

/** The verb `list-images` of importctl: the images of a class or of all, hidden ones too. */
export async function listImages(session: Session): Promise<number> {
  await session.openPager();
  const images = await attempt("Could not list images", () => imagesOf(session));
  const zone = await session.ports.zone();
  const rows = images.sort(byClassAndName).map((row) => imageCells(row, zone));
  const columns = ["class", "name", "type", "path", "ro", "crtime", "mtime", "usage", "limit"];
  print(session, { columns, rows }, "images");
  return 0;
}
