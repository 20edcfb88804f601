// Starts a transfer: its worker, the copy of its log in the daemon's log, and the clean-up after a worker that was
// killed.
import { LOG_LEVELS, type LogLevel } from "../base/log-level.ts";
import type { ExitStatus } from "../kernel/process/spawn.ts";
import type { ImportDaemon } from "./daemon.ts";
import { Transfer, type TransferFiles } from "./transfer.ts";
import { type TransferPlan, workerCommand, workerEnvironment, workerOverride } from "./worker-command.ts";

const PRIORITY_BITS = 7;

/**
 * Starts a checked transfer, and returns it. It is announced before this returns, as clients of the original expect.
 */
export function launch(daemon: ImportDaemon, plan: TransferPlan, files: TransferFiles): Transfer {
  const { transfers, log } = daemon;
  const transfer = new Transfer(transfers.nextId(), plan);
  const command = workerCommand(plan, daemon.scope);
  transfer.follow({
    log: (_transfer, { priority, text }) => {
      const level = LOG_LEVELS[priority & PRIORITY_BITS] as LogLevel;
      log.write(level, `(transfer${transfer.id}) ${text}`, { TRANSFER_ID: String(transfer.id) });
    },
    ended: (_transfer, result, status) => {
      transfers.remove(transfer);
      daemon.announceEnd(transfer, result);
      if (isUnclean(status)) daemon.sweep();
    },
  });
  transfer.start(command, files, {
    env: workerEnvironment(process.env, { notifySocket: daemon.notifySocket, logLevel: log.level }),
    executable: workerOverride(process.env, command.program),
  });
  transfers.add(transfer);
  daemon.announceStart(transfer);
  return transfer;
}

/** Whether a worker may have left an incomplete image: one that was killed could not remove it. */
function isUnclean({ signal }: ExitStatus): boolean {
  return signal !== null;
}
