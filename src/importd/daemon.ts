// The parts of the daemon that an action may use: transfers, polkit, signals, the removal of leftovers. The service
// implements it.
import type { TransferResult } from "../base/vocabulary/transfer.ts";
import type { DaemonLog } from "../daemon/log.ts";
import type { Authority } from "../daemon/permission/authority.ts";
import type { ScopeKind } from "../daemon/scope.ts";
import type { Paths } from "./paths.ts";
import type { Transfer } from "./transfer.ts";
import type { Transfers } from "./transfers.ts";

export interface ImportDaemon {
  readonly scope: ScopeKind;
  readonly paths: Paths;
  readonly log: DaemonLog;
  readonly transfers: Transfers;
  /** The release of the host's systemd, whose behaviour the scripts of the host expect; 0 where there is none. */
  readonly hostVersion: number;
  /** Returns polkit, or null while there is no bus. */
  authority(): Authority | null;
  /** The socket to which workers report their progress (sd_notify(3)). */
  readonly notifySocket: string;
  /** Sends TransferNew, and from then on the signals of the transfer. */
  announceStart(transfer: Transfer): void;
  /** Sends TransferRemoved. */
  announceEnd(transfer: Transfer, result: TransferResult): void;
  /** Starts the removal of entries that killed workers left in directories of images. */
  sweep(): void;
  /** Keeps the daemon running until the returned function is called. */
  busy(): () => void;
}
