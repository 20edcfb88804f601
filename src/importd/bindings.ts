// Binds the D-Bus rows to actions: mapping of arguments only. Getters return the values of properties.
import { ImportManager, Transfer as TransferTable } from "../api/import1.ts";
import type { Descriptor, Getters, Handlers } from "../api/table.ts";
import { invalidArgument } from "../base/error.ts";
import type { ImageClass } from "../base/vocabulary/image-class.ts";
import { TRANSFER_FLAGS, type TransferType } from "../base/vocabulary/transfer.ts";
import { type BoundInterface, type BusCallContext, bindInterface } from "../ipc/bus/binding.ts";
import type { Fd } from "../kernel/file/fd.ts";
import { cancelSelf, cancelTransfer, classOf, listTransfers, start, type TransferRequest } from "./actions.ts";
import type { ImportDaemon } from "./daemon.ts";
import { listImages } from "./images.ts";
import { transferPath, transferReference } from "./objects.ts";
import type { Transfer } from "./transfer.ts";

type ManagerHandlers = Handlers<typeof ImportManager, BusCallContext>;

const { force, readOnly, keepDownload } = TRANSFER_FLAGS;

/** Throws InvalidArgs for flags that are not among `known`. */
function checkFlags(flags: bigint, known: bigint): void {
  if ((flags & ~known) !== 0n) throw invalidArgument("flags", `Flags 0x${flags.toString(16)} invalid`);
}

/** From this release on, PullTar and PullRaw keep no copy of the download; clients of older releases expect one. */
const PULLS_KEEP_NOTHING_VERSION = 256;

/**
 * The class and the flags of a request, which are checked after the permission: callers without it get AccessDenied
 * only.
 */
interface Extended {
  readonly class: string;
  readonly flags: bigint;
}

function handlersOf(daemon: ImportDaemon): ManagerHandlers {
  const begin = async (call: BusCallContext, request: TransferRequest) =>
    transferReference(await start(daemon, call, request));
  const flagged = (call: BusCallContext, request: Omit<TransferRequest, "class">, ex: Extended, known: bigint) =>
    begin(call, {
      ...request,
      class: ex.class,
      checkFlags: () => checkFlags(ex.flags, known),
      force: (ex.flags & force) !== 0n,
      readOnly: (ex.flags & readOnly) !== 0n,
      keepDownload: (ex.flags & keepDownload) !== 0n,
    });

  const importPlain =
    (type: TransferType): ManagerHandlers["ImportTar"] =>
    (call, a) =>
      begin(call, {
        type,
        class: "machine",
        local: a.local_name,
        file: () => fdOf(a.fd),
        force: a.force,
        readOnly: a.read_only,
      });
  const importEx =
    (type: TransferType): ManagerHandlers["ImportTarEx"] =>
    (call, a) =>
      flagged(call, { type, local: a.local_name, file: () => fdOf(a.fd) }, a, force | readOnly);
  const exportPlain =
    (type: TransferType): ManagerHandlers["ExportTar"] =>
    (call, a) =>
      begin(call, { type, class: "machine", local: a.local_name, file: () => fdOf(a.fd), format: a.format });
  const exportEx =
    (type: TransferType): ManagerHandlers["ExportTarEx"] =>
    (call, a) =>
      flagged(call, { type, local: a.local_name, file: () => fdOf(a.fd), format: a.format }, a, 0n);
  const pullPlain =
    (type: TransferType): ManagerHandlers["PullTar"] =>
    (call, a) =>
      begin(call, {
        type,
        class: "machine",
        local: a.local_name,
        remote: a.url,
        verify: a.verify_mode,
        force: a.force,
        keepDownload: daemon.hostVersion < PULLS_KEEP_NOTHING_VERSION,
      });
  const pullEx =
    (type: TransferType): ManagerHandlers["PullTarEx"] =>
    (call, a) =>
      flagged(
        call,
        { type, local: a.local_name, remote: a.url, verify: a.verify_mode },
        a,
        force | readOnly | keepDownload,
      );

  return {
    ImportTar: importPlain("import-tar"),
    ImportTarEx: importEx("import-tar"),
    ImportRaw: importPlain("import-raw"),
    ImportRawEx: importEx("import-raw"),
    ImportFileSystem: importPlain("import-fs"),
    ImportFileSystemEx: importEx("import-fs"),
    ExportTar: exportPlain("export-tar"),
    ExportTarEx: exportEx("export-tar"),
    ExportRaw: exportPlain("export-raw"),
    ExportRawEx: exportEx("export-raw"),
    PullTar: pullPlain("pull-tar"),
    PullTarEx: pullEx("pull-tar"),
    PullRaw: pullPlain("pull-raw"),
    PullRawEx: pullEx("pull-raw"),
    PullOci: (call, a) => flagged(call, { type: "pull-oci", local: a.local_name, remote: a.ref }, a, force | readOnly),
    ListTransfers: () => ({
      transfers: listTransfers(daemon, null).map((transfer): [number, string, string, string, number, string] => {
        const { id, plan, progress } = transfer;
        return [id, plan.type, plan.remote, plan.local, progress, transferPath(transfer)];
      }),
    }),
    ListTransfersEx: (_call, a) => ({ transfers: listTransfers(daemon, wantedClass(a)).map(extendedRow) }),
    CancelTransfer: (call, a) => cancelTransfer(daemon, call, a.transfer_id).then(nothing),
    ListImages: (_call, a) => ({ images: listImages(daemon, wantedClass(a)).map(imageRow) }),
  };
}

function extendedRow(transfer: Transfer): [number, string, string, string, string, number, string] {
  const { id, plan, progress } = transfer;
  return [id, plan.type, plan.remote, plan.local, plan.class, progress, transferPath(transfer)];
}

type ImageRow = [string, string, string, string, boolean, bigint, bigint, bigint, bigint, bigint, bigint];

function imageRow({ class: imageClass, image }: ReturnType<typeof listImages>[number]): ImageRow {
  const { createdUsec, modifiedUsec, space } = image.facts;
  return [
    ...([imageClass, image.name, image.type, image.path, image.isReadOnly] as const),
    ...([createdUsec, modifiedUsec, space.usage, space.usageExclusive, space.limit, space.limitExclusive] as const),
  ];
}

/** Returns the class that a list is requested for; null for all classes. */
function wantedClass({ class: name, flags }: Extended): ImageClass | null {
  const wanted = name === "" ? null : classOf(name);
  checkFlags(flags, 0n);
  return wanted;
}

/** Returns a received descriptor as an Fd, which it always is over D-Bus. */
function fdOf(descriptor: Descriptor): Fd {
  return descriptor as Fd;
}

function nothing(): object {
  return {};
}

const transferGetters: Getters<typeof TransferTable, Transfer> = {
  Id: (transfer) => transfer.id,
  Local: (transfer) => transfer.plan.local,
  Remote: (transfer) => transfer.plan.remote,
  Type: (transfer) => transfer.plan.type,
  Verify: (transfer) => transfer.plan.verify,
  Progress: (transfer) => transfer.progress,
};

/** Binds the manager's table to the daemon. */
export function bindManager(daemon: ImportDaemon): BoundInterface {
  return bindInterface(ImportManager, handlersOf(daemon), {});
}

/** Binds the table of transfers to the daemon. */
export function bindTransfer(daemon: ImportDaemon): BoundInterface {
  return bindInterface<typeof TransferTable, Transfer>(
    TransferTable,
    { Cancel: (call) => cancelSelf(daemon, call, call.subject).then(nothing) },
    transferGetters,
  );
}
