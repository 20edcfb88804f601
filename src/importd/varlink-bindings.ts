// Varlink rows → actions (io.systemd.Import). A call with `more` follows its transfer to the end: the id first, then
// progress and log lines, last an empty reply or an error. A follower that goes away leaves the transfer alone.
import { IoSystemdImport } from "../api/io-systemd-import.ts";
import { invalidArgument, MachinedError } from "../base/error.ts";
import type { ImageClass, TransferResult, TransferType } from "../base/transfer.ts";
import { type BoundVarlink, Reply, type VarlinkCall } from "../ipc/varlink/server.ts";
import type { Fd } from "../kernel/file/fd.ts";
import { cancelTransfer, listTransfers, start, type TransferRequest } from "./actions.ts";
import type { ImportDaemon } from "./daemon.ts";
import type { Transfer } from "./transfer.ts";

interface PullParameters {
  readonly remote: string;
  readonly local?: string;
  readonly type: "raw" | "tar" | "oci";
  readonly class: ImageClass;
  readonly verify?: string;
  readonly force?: boolean;
  readonly readOnly?: boolean;
  readonly keepDownload?: boolean;
  readonly imageRoot?: string;
}

interface ImportParameters {
  readonly fileDescriptorIndex: number | string;
  readonly local: string;
  readonly type: "raw" | "tar" | "fs";
  readonly class?: ImageClass;
  readonly force?: boolean;
  readonly readOnly?: boolean;
}

interface ExportParameters {
  readonly fileDescriptorIndex: number | string;
  readonly local: string;
  readonly type: "raw" | "tar" | "oci";
  readonly class?: ImageClass;
  readonly format?: string;
}

/** Binds io.systemd.Import to the daemon. */
export function importVarlink(daemon: ImportDaemon): BoundVarlink {
  return {
    table: IoSystemdImport,
    handlers: {
      ListTransfers: (_call, p: { class?: ImageClass }) => {
        const transfers = listTransfers(daemon, p.class ?? null);
        if (transfers.length === 0) throw new MachinedError("NoTransfers", "No transfers");
        return { [Reply.many]: transfers.map(row) };
      },
      Pull: (call, p: PullParameters) => {
        const { remote, local = "", type, class: imageClass, verify = "signature" } = p;
        const request = { ...p, local, type: `pull-${type}` as TransferType };
        return run(daemon, call, request, { remote, local, class: imageClass, type, verify });
      },
      Import: (call, { fileDescriptorIndex, ...p }: ImportParameters) =>
        run(daemon, call, {
          ...p,
          class: p.class ?? "machine",
          type: `import-${p.type}`,
          file: fileOf(call, fileDescriptorIndex),
        }),
      Export: (call, { fileDescriptorIndex, ...p }: ExportParameters) => {
        if (p.type === "oci") throw invalidArgument("type", "Images are exported as tar or raw");
        const format = p.format === undefined ? {} : { format: p.format };
        const file = fileOf(call, fileDescriptorIndex);
        return run(daemon, call, {
          local: p.local,
          class: p.class ?? "machine",
          type: `export-${p.type}`,
          file,
          ...format,
        });
      },
      Cancel: (call, { id }: { id: number | string }) => cancelTransfer(daemon, call, Number(id)),
    },
  };
}

function fileOf(call: VarlinkCall, index: number | string): Fd {
  const file = call.descriptor(Number(index));
  if (file === null) throw invalidArgument("fileDescriptorIndex", "No such descriptor");
  return file;
}

async function run(
  daemon: ImportDaemon,
  call: VarlinkCall,
  request: TransferRequest,
  details: Readonly<Record<string, string>> = {},
): Promise<object> {
  const transfer = await start(daemon, call, request, details);
  if (!call.more) return { id: transfer.id };
  call.emit({ id: transfer.id });
  const result = await followed(call, transfer);
  if (result === "canceled") throw new MachinedError("TransferCancelled", "The transfer was cancelled");
  if (result === "failed") throw new MachinedError("TransferFailed", "The transfer failed");
  return {};
}

function followed(call: VarlinkCall, transfer: Transfer): Promise<TransferResult> {
  return new Promise((resolve) => {
    const end = transfer.follow({
      log: (_transfer, { priority, text }) => call.emit({ log: { message: text, priority } }),
      progress: () => call.emit({ progress: transfer.progress }),
      ended: (_transfer, result) => resolve(result),
    });
    // Nobody hears how it ends.
    call.onGone(() => {
      end();
      resolve("done");
    });
  });
}

function row({ id, plan, progress }: Transfer): object {
  return {
    id,
    type: plan.type.replaceAll("-", "_"),
    remote: plan.remote,
    local: plan.local,
    class: plan.class,
    percent: progress,
  };
}
