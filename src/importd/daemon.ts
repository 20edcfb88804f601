// What an action may use: the transfers and the connections of the daemon. Built once, in main.ts.
import type { Access } from "../api/access.ts";
import type { TransferResult } from "../base/transfer.ts";
import type { Authority } from "../daemon/authority.ts";
import type { DaemonLog } from "../daemon/log.ts";
import type { Caller } from "../ipc/caller.ts";
import type { Scope } from "./arguments.ts";
import type { Paths } from "./paths.ts";
import type { Transfer } from "./transfer.ts";
import type { Transfers } from "./transfers.ts";

export interface ImportDaemon {
  readonly scope: Scope;
  readonly paths: Paths;
  readonly log: DaemonLog;
  readonly transfers: Transfers;
  /** The release of the host's systemd: old clients of old hosts expect what that one did. */
  readonly hostVersion: number;
  /** Who decides about callers, or null while nobody can be asked. */
  authority(): Authority | null;
  /** Where workers report to. */
  readonly notifySocket: string;
  /** Tells everyone about a transfer that begins. */
  announceStart(transfer: Transfer): void;
  /** Tells everyone about a transfer that is over. */
  announceEnd(transfer: Transfer, result: TransferResult): void;
  /** Has what killed workers left behind removed, soon. */
  sweep(): void;
  /** Keeps the daemon from ending for want of work until what it gives is called. */
  busy(): () => void;
}

/** A call while an action carries it out, of either transport. */
export interface Call {
  readonly transport: "bus" | "varlink";
  /** Who may call the method, as its row says. */
  readonly access: Access;
  readonly interactive: boolean;
  caller(): Promise<Caller>;
  onGone(handler: () => void): () => void;
}
