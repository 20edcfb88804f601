// machined-worker copy-helper: fills files for another worker that walks a tree (src/registry/image/copy-helpers.ts).

import { compileAsUsual } from "../../base/compiler.ts";
import { Fd } from "../../kernel/file/fd.ts";
import { waitReadable } from "../../kernel/socket/blocking.ts";
import { receiveMessage, sendDatagram } from "../../kernel/socket/unix.ts";
import { pin } from "../../kernel/syscall/mem.ts";
import { isErrno, SyscallError } from "../../kernel/syscall/sys.ts";
import { fillRegular } from "../../kernel/tree/copy-file.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { HELPER_FD, type HelperReport } from "../../registry/image/copy-helpers.ts";
import { lossReporter } from "./report-losses.ts";

const status = new RawStatus();
const message = pin(8192);
const reportLoss = lossReporter();

/** The entry point: copies until there are no more files, or one cannot be copied. */
export async function main(): Promise<number> {
  compileAsUsual();
  using socket = Fd.inherited(HELPER_FD);
  try {
    const report = copyAll(socket);
    sendDatagram(socket, Buffer.from(JSON.stringify(report)));
    return report.errno === undefined ? 0 : 1;
  } catch (error) {
    // The worker was killed: nobody waits for the report.
    if (isErrno(error, "EPIPE", "ECONNRESET")) return 1;
    throw error;
  }
}

function copyAll(socket: Fd): HelperReport {
  for (;;) {
    waitReadable(socket);
    const received = receiveMessage(socket, message);
    if (received === "again") continue;
    if (received === "end") return {};
    const path = message.bytes.toString("utf8", 0, received.bytes);
    const failure = copyOne(received.fds, path);
    for (const fd of received.fds) fd.close();
    if (failure !== null) return failure;
  }
}

function copyOne([entry, target]: readonly Fd[], path: string): HelperReport | null {
  if (entry === undefined || target === undefined) return { errno: "EBADF", path };
  try {
    const manner = { sharing: { mayShare: false }, onBytes: () => {} };
    const lost = fillRegular(entry, status.readFd(entry), target, manner);
    if (lost.length > 0) reportLoss(path, lost);
    return null;
  } catch (error) {
    if (error instanceof SyscallError) return { errno: error.errnoName, path };
    throw error;
  }
}
