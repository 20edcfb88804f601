// The verbs `list-transfers` and `cancel-transfer`, and importctl's `list-images` (importctl(1)).
import { compareBytes } from "../../base/byte-order.ts";
import { parseUnsigned } from "../../base/text/number.ts";
import type { Column } from "../list/column.ts";
import { planOf } from "../list/plan.ts";
import { printList, printsColumns } from "../list/print.ts";
import { startPolkitAgent } from "../session/agents.ts";
import { attempt, Failure } from "../session/failure.ts";
import type { Session } from "../session/session.ts";
import { isPlainList } from "../session/settings.ts";
import { IMAGE_COLUMNS, type ImageRow, type ListedTransfer, TRANSFER_COLUMNS } from "./columns.ts";
import { callFirstKnown, type ManagerCall, withTransferDaemon } from "./service.ts";

/** Calls the transfer manager by the first of the calls that it has. */
function callManager<Name extends ManagerCall["member"]>(session: Session, calls: readonly ManagerCall<Name>[]) {
  return withTransferDaemon(session, "calls", (bus) => callFirstKnown(session, bus, calls));
}

async function transfersOf(session: Session): Promise<ListedTransfer[]> {
  const wanted = session.settings.imageClass ?? "";
  const reply = await callManager<"ListTransfersEx" | "ListTransfers">(session, [
    { member: "ListTransfersEx", args: { class: wanted, flags: 0n } },
    { member: "ListTransfers", args: {} },
  ]);
  if (reply.member === "ListTransfersEx") {
    return reply.result.transfers.map(([id, type, remote, local, name, progress]) => {
      return { id, type, remote, local, class: name, progress };
    });
  }
  // Daemons without ListTransfersEx() have no classes: all their images are for machines.
  const all = reply.result.transfers.map(([id, type, remote, local, progress]) => {
    return { id, type, remote, local, class: "machine", progress };
  });
  return all.filter((row) => wanted === "" || row.class === wanted);
}

function byLocalName(a: ListedTransfer, b: ListedTransfer): number {
  return compareBytes(a.local, b.local) || a.id - b.id;
}

/** Prints a list. As in the original, an empty list as JSON prints nothing. */
async function print<Row>(
  session: Session,
  columns: readonly Column<Row>[],
  rows: () => Promise<Row[]>,
  noun: string,
): Promise<void> {
  if (printsColumns(session, columns)) return;
  const { settings, ports } = session;
  const plan = planOf(settings, columns);
  const listed = await rows();
  if (listed.length === 0 && settings.json !== "off" && isPlainList(settings)) return;
  const context = { zone: await ports.zone(), nowUsec: ports.nowUsec(), mostLines: Number.POSITIVE_INFINITY };
  printList(session, listed, plan, { ...context, noun });
}

/** The verb `list-transfers`. */
export async function listTransfers(session: Session): Promise<number> {
  await session.openPager();
  const transfers = async () =>
    (await attempt("Could not get transfers", () => transfersOf(session))).sort(byLocalName);
  await print(session, TRANSFER_COLUMNS, transfers, "transfers");
  return 0;
}

/** Returns the ids of the running transfers. */
export async function transferIds(session: Session): Promise<string[]> {
  return (await transfersOf(session)).map(({ id }) => String(id));
}

/** The verb `cancel-transfer`. */
export async function cancelTransfers(session: Session, words: readonly string[]): Promise<number> {
  await startPolkitAgent(session);
  for (const word of words) {
    const id = parseUnsigned(word);
    if (id === undefined) throw new Failure(`Failed to parse transfer id: ${word}`);
    const call = { member: "CancelTransfer", args: { transfer_id: id } } as const;
    await attempt("Could not cancel transfer", () => callManager(session, [call]));
  }
  return 0;
}

function byClassAndName(a: ImageRow, b: ImageRow): number {
  return compareBytes(a[0], b[0]) || compareBytes(a[1], b[1]);
}

async function imagesOf(session: Session): Promise<ImageRow[]> {
  const args = { class: session.settings.imageClass ?? "", flags: 0n };
  const { result } = await callManager(session, [{ member: "ListImages", args }]);
  return [...result.images];
}

/** Returns the path of the image of this name, of the class of --class=; undefined where there is none. */
export async function pathOfImage(session: Session, name: string): Promise<string | undefined> {
  return (await imagesOf(session)).find((row) => row[1] === name)?.[3];
}

/** Returns the names of the images of the class of --class=, or of all classes, without hidden ones. */
export async function imageNames(session: Session): Promise<string[]> {
  return (await imagesOf(session)).map(([, name]) => name).filter((name) => !name.startsWith("."));
}

/**
 * The verb `list-images` of importctl: lists the images of the class of --class=, or of all classes, with hidden ones.
 */
export async function listImages(session: Session): Promise<number> {
  await session.openPager();
  const images = async () => (await attempt("Could not list images", () => imagesOf(session))).sort(byClassAndName);
  await print(session, IMAGE_COLUMNS, images, "images");
  return 0;
}
