// org.freedesktop.import1 as of 262: the manager of transfers, and each transfer as an object
// (org.freedesktop.import1(5)). The rows are in the original's order.
import { VERIFY_MODES } from "../base/vocabulary/transfer.ts";
import type { PolkitRule } from "./access.ts";
import { CANCEL_RULE } from "./shared-rules.ts";
import { defineBusInterface } from "./table.ts";

export const IMPORT1_NAME = "org.freedesktop.import1";
export const IMPORT1_PATH = "/org/freedesktop/import1";
export const TRANSFER_PATH = "/org/freedesktop/import1/transfer";

const STARTED = { transfer_id: "u", transfer_path: "o" } as const;
const IMPORT = { fd: "h", local_name: "s", force: "b", read_only: "b" } as const;
const IMPORT_EX = { fd: "h", local_name: "s", class: "s", flags: "t" } as const;
const EXPORT = { local_name: "s", fd: "h", format: "s" } as const;
const EXPORT_EX = { local_name: "s", class: "s", fd: "h", format: "s", flags: "t" } as const;
const PULL = { url: "s", local_name: "s", verify_mode: "s", force: "b" } as const;
const PULL_EX = { url: "s", local_name: "s", class: "s", verify_mode: "s", flags: "t" } as const;

const MAY_IMPORT: PolkitRule = { action: "org.freedesktop.import1.import" };
const MAY_EXPORT: PolkitRule = { action: "org.freedesktop.import1.export" };
const MAY_PULL: PolkitRule = { action: "org.freedesktop.import1.pull" };

export const ImportManager = defineBusInterface({
  name: "org.freedesktop.import1.Manager",
  methods: {
    ImportTar: { in: IMPORT, out: STARTED, access: MAY_IMPORT, doc: "Makes an image from a tar file." },
    ImportTarEx: { in: IMPORT_EX, out: STARTED, access: MAY_IMPORT, doc: "ImportTar for images of any class." },
    ImportRaw: { in: IMPORT, out: STARTED, access: MAY_IMPORT, doc: "Makes an image from a disk image file." },
    ImportRawEx: { in: IMPORT_EX, out: STARTED, access: MAY_IMPORT, doc: "ImportRaw for images of any class." },
    ImportFileSystem: { in: IMPORT, out: STARTED, access: MAY_IMPORT, doc: "Makes an image from a directory." },
    ImportFileSystemEx: {
      in: IMPORT_EX,
      out: STARTED,
      access: MAY_IMPORT,
      doc: "ImportFileSystem for images of any class.",
    },
    ExportTar: { in: EXPORT, out: STARTED, access: MAY_EXPORT, doc: "Writes an image's tree to a tar file." },
    ExportTarEx: { in: EXPORT_EX, out: STARTED, access: MAY_EXPORT, doc: "ExportTar for images of any class." },
    ExportRaw: { in: EXPORT, out: STARTED, access: MAY_EXPORT, doc: "Writes a disk image to a file." },
    ExportRawEx: { in: EXPORT_EX, out: STARTED, access: MAY_EXPORT, doc: "ExportRaw for images of any class." },
    PullTar: { in: PULL, out: STARTED, access: MAY_PULL, doc: "Downloads a tar file and makes an image from it." },
    PullTarEx: { in: PULL_EX, out: STARTED, access: MAY_PULL, doc: "PullTar for images of any class." },
    PullRaw: { in: PULL, out: STARTED, access: MAY_PULL, doc: "Downloads a disk image." },
    PullRawEx: { in: PULL_EX, out: STARTED, access: MAY_PULL, doc: "PullRaw for images of any class." },
    PullOci: {
      in: { ref: "s", local_name: "s", class: "s", flags: "t" },
      out: STARTED,
      access: MAY_PULL,
      doc: "Downloads a container image from a registry.",
    },
    ListTransfers: {
      in: {},
      out: { transfers: "a(usssdo)" },
      access: "everyone",
      doc: "The running transfers: id, type, remote, local, progress, object path.",
    },
    ListTransfersEx: {
      in: { class: "s", flags: "t" },
      out: { transfers: "a(ussssdo)" },
      access: "everyone",
      doc: "The running transfers for one class of images, or for all; as ListTransfers, with the class before the progress.",
    },
    CancelTransfer: {
      in: { transfer_id: "u" },
      out: {},
      access: CANCEL_RULE,
      doc: "Cancels a transfer.",
    },
    ListImages: {
      in: { class: "s", flags: "t" },
      out: { images: "a(ssssbtttttt)" },
      access: "everyone",
      doc: "The images of one class, or all: class, name, type, path, read-only, creation and modification time, usage, limit, and both of unshared bytes.",
    },
  },
  properties: {},
  signals: {
    TransferNew: { args: STARTED, doc: "A transfer was started." },
    TransferRemoved: { args: { ...STARTED, result: "s" }, doc: "A transfer is over: done, canceled or failed." },
  },
});

export const Transfer = defineBusInterface({
  name: "org.freedesktop.import1.Transfer",
  methods: {
    Cancel: {
      in: {},
      out: {},
      access: { ...CANCEL_RULE, instead: { action: MAY_PULL.action } },
      doc: "Cancels the transfer.",
    },
  },
  properties: {
    Id: { type: "u", emits: "const", doc: "The number of the transfer, unique while the daemon runs." },
    Local: { type: "s", emits: "const", doc: "The name of the local image." },
    Remote: { type: "s", emits: "const", doc: "The URL or reference of a download." },
    Type: { type: "s", emits: "const", doc: "The kind of transfer: pull-tar, import-raw, export-tar …" },
    Verify: { type: "s", emits: "const", doc: `How a download is verified: ${VERIFY_MODES.values.join(", ")}.` },
    Progress: { type: "d", emits: "false", doc: "From 0 to 1; the lowest double while unknown." },
  },
  signals: {
    LogMessage: { args: { priority: "u", line: "s" }, doc: "A line of the worker's log." },
    ProgressUpdate: { args: { progress: "d" }, doc: "The progress of the transfer changed." },
  },
});
