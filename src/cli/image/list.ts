// `machinectl list-images`: lists the images that machines can be started from (machinectl(1), "list-images").
import { sortedByBytes } from "../../base/byte-order.ts";
import { type CellContext, titleOf, usualColumns } from "../list/column.ts";
import { printOnlyTable } from "../session/print-table.ts";
import type { Session } from "../session/session.ts";
import { isPlainList, tableJsonMode } from "../session/settings.ts";
import { IMAGE_COLUMNS, imageCells } from "./columns.ts";
import { type ListedImage, listedImages } from "./list-rows.ts";

async function shownImages(session: Session): Promise<{ images: ListedImage[]; context: CellContext }> {
  const [images, zone] = await Promise.all([listedImages(session), session.ports.zone()]);
  const shown = images.filter(({ name }) => session.settings.all || !name.startsWith("."));
  const context = { zone, nowUsec: session.ports.nowUsec(), mostLines: Number.POSITIVE_INFINITY };
  return { images: sortedByBytes(shown, ({ name }) => name), context };
}

/** Prints the list with the options for columns, rows, order and form. Their modules are imported here only. */
async function listChosen(session: Session): Promise<void> {
  const [{ planOf }, { printList, printsColumns }] = await Promise.all([
    import("../list/plan.ts"),
    import("../list/print.ts"),
  ]);
  if (printsColumns(session, IMAGE_COLUMNS)) return;
  const plan = planOf(session.settings, IMAGE_COLUMNS);
  const { images, context } = await shownImages(session);
  printList(session, images, plan, { ...context, noun: "images" });
}

/** The verb `list-images`. Images are sorted by the bytes of their names; hidden ones are shown with --all. */
export async function listImages(session: Session): Promise<number> {
  const { settings } = session;
  await session.openPager();
  if (!isPlainList(settings)) {
    await listChosen(session);
    return 0;
  }
  const { images, context } = await shownImages(session);
  const columns = usualColumns(IMAGE_COLUMNS);
  const rows = imageCells(images, columns, context, tableJsonMode(settings) === null);
  await printOnlyTable(session, { columns: columns.map(titleOf), rows }, "images");
  return 0;
}
