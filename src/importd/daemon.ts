// What an action may use: the transfers, and the ways to callers, workers and polkit. The service implements it.
import type { TransferResult } from "../base/vocabulary/transfer.ts";
import type { Authority } from "../daemon/authority.ts";
import type { DaemonLog } from "../daemon/log.ts";
import type { ScopeKind } from "../daemon/scope.ts";
import type { Paths } from "./paths.ts";
import type { Transfer } from "./transfer.ts";
import type { Transfers } from "./transfers.ts";

export interface ImportDaemon {
  readonly scope: ScopeKind;
  readonly paths: Paths;
  readonly log: DaemonLog;
  readonly transfers: Transfers;
  /** The release of the host's systemd: old clients of old hosts expect what that one did. */
  readonly hostVersion: number;
  /** Polkit, or null while there is no bus to ask it on. */
  authority(): Authority | null;
  /** The socket that workers report to. */
  readonly notifySocket: string;
  /** Sends the signals of a transfer that begins. */
  announceStart(transfer: Transfer): void;
  /** Sends the signal of a transfer that has ended. */
  announceEnd(transfer: Transfer, result: TransferResult): void;
  /** Starts the removal of what killed workers left behind. */
  sweep(): void;
  /** Keeps the daemon running until the returned function is called. */
  busy(): () => void;
}
