// Binds the methods of io.systemd.Import to actions. A call with `more` follows its transfer to the end: it receives
// the id first, then progress and log lines, last an empty reply or an error. A transfer continues when its follower
// disconnects.
import { IoSystemdImport } from "../api/varlink/io-systemd-import.ts";
import type { ReceivedInteger, VarlinkResult, VarlinkValue } from "../api/varlink-table.ts";
import { invalidArgument, MachinedError } from "../base/error.ts";
import type { TransferResult, TransferType } from "../base/vocabulary/transfer.ts";
import { type BoundVarlink, bindVarlink, Reply, type VarlinkCall } from "../ipc/varlink/binding.ts";
import type { Fd } from "../kernel/file/fd.ts";
import { cancelTransfer, listTransfers, start, type TransferRequest } from "./actions.ts";
import type { ImportDaemon } from "./daemon.ts";
import type { Transfer } from "./transfer.ts";

type Table = typeof IoSystemdImport;
const DESCRIPTORS = IoSystemdImport.methods.Import.descriptors;

/** A call that starts a transfer, and may follow it. */
type TransferCall = VarlinkCall<VarlinkResult<Table, "Pull">>;

/** Binds io.systemd.Import to the daemon. */
export function importVarlink(daemon: ImportDaemon): BoundVarlink {
  return bindVarlink(IoSystemdImport, {
    ListTransfers: (_call, p) => {
      const transfers = listTransfers(daemon, p.class ?? null);
      if (transfers.length === 0) throw new MachinedError("NoTransfers", "No transfers");
      return { [Reply.many]: transfers.map(row) };
    },
    Pull: (call, p) => {
      const { remote, local = "", type, class: imageClass, verify = "signature" } = p;
      const request = { ...p, local, type: `pull-${type}` as TransferType };
      return run(daemon, call, request, { remote, local, class: imageClass, type, verify });
    },
    Import: (call, { fileDescriptorIndex, ...p }) =>
      run(daemon, call, {
        ...p,
        class: p.class ?? "machine",
        type: `import-${p.type}`,
        file: fileOf(call, fileDescriptorIndex),
      }),
    Export: (call, { fileDescriptorIndex, ...p }) => {
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
    Cancel: (call, { id }) => cancelTransfer(daemon, call, Number(id)),
  });
}

/**
 * Returns a function that receives the descriptor of that index. Throws InvalidArgs where the call has no such
 * descriptor.
 */
function fileOf({ descriptors }: TransferCall, index: ReceivedInteger): () => Fd {
  const missing = () => invalidArgument("fileDescriptorIndex", "No such descriptor");
  if (descriptors === null || Number(index) < 0) throw missing();
  return () => {
    const files = descriptors.receive(DESCRIPTORS);
    const [file] = files.splice(Number(index), 1);
    for (const other of files) other.close();
    if (file === undefined) throw missing();
    return file;
  };
}

/** Starts a transfer; replies with its id or, for a call with `more`, follows it to its end. */
export async function run(
  daemon: ImportDaemon,
  call: TransferCall,
  request: TransferRequest,
  details: Readonly<Record<string, string>> = {},
): Promise<VarlinkResult<Table, "Pull">> {
  const transfer = await start(daemon, call, request, details);
  if (!call.more) return { id: transfer.id };
  call.emit({ id: transfer.id });
  const result = await followed(call, transfer);
  if (result === "canceled") throw new MachinedError("TransferCancelled", "The transfer was cancelled");
  if (result === "failed") throw new MachinedError("TransferFailed", "The transfer failed");
  return {};
}

function followed(call: TransferCall, transfer: Transfer): Promise<TransferResult> {
  return new Promise((resolve) => {
    const end = transfer.follow({
      log: (_transfer, { priority, text }) => call.emit({ log: { message: text, priority } }),
      progress: () => call.emit({ progress: transfer.progress }),
      ended: (_transfer, result) => resolve(result),
    });
    // The caller disconnected: the result is not sent.
    call.onGone(() => {
      end();
      resolve("done");
    });
  });
}

function row({ id, plan, progress }: Transfer): VarlinkResult<Table, "ListTransfers"> {
  return {
    id,
    // The interface has no value for a push.
    type: plan.type.replace("-", "_").replace("push_oci", "export_tar") as VarlinkValue<Table, "TransferType">,
    remote: plan.remote,
    local: plan.local,
    class: plan.class,
    percent: progress,
  };
}
