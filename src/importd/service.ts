// The service of transfers: its sockets, its signals, the reports of its workers, and its end
// (systemd-importd.service(8)).
import { rmSync } from "node:fs";
import { IMPORT1_NAME, IMPORT1_PATH, ImportManager, Transfer as TransferTable } from "../api/import1.ts";
import type { TransferResult } from "../base/vocabulary/transfer.ts";
import { serviceVarlink } from "../daemon/control.ts";
import { systemdVersion } from "../daemon/host.ts";
import { objectTree } from "../daemon/object-tree.ts";
import type { Authority } from "../daemon/permission/authority.ts";
import { isBusShown, isSystemdHost, type ScopeKind } from "../daemon/scope.ts";
import { type Served, ServiceShell, type ShellOptions } from "../daemon/service-shell.ts";
import { listenVarlink, makeSocketDirectory } from "../daemon/sockets.ts";
import type { ObjectTree } from "../ipc/bus/binding.ts";
import type { BusClient } from "../ipc/bus/client.ts";
import { NotifyListener } from "../kernel/socket/notify-listener.ts";
import { bindManager, bindTransfer } from "./bindings.ts";
import type { ImportDaemon } from "./daemon.ts";
import { EventReporter } from "./event-reporter.ts";
import { transferObjects, transferPath, transferReference } from "./objects.ts";
import { ownVarlink } from "./own-bindings.ts";
import { type Paths, pathsOf } from "./paths.ts";
import { Sweeper } from "./sweeper.ts";
import type { Transfer } from "./transfer.ts";
import { Transfers } from "./transfers.ts";
import { importVarlink } from "./varlink-bindings.ts";

/** How long workers may take to clean up at the end of the daemon, before they are killed. */
const WORKER_PATIENCE_MS = 10_000;
/** How long the start waits for a bus that does not answer. Later it is used as soon as it answers. */
const BUS_PATIENCE_MS = 10_000;
/** How long the start waits for the version of the service manager. */
const VERSION_PATIENCE_MS = 3_000;

export class Service implements ImportDaemon, Served {
  readonly scope: ScopeKind;
  readonly paths: Paths;
  readonly transfers = new Transfers();
  readonly tree: ObjectTree;
  /**
   * The release whose rules apply to calls: the newest, until systemd has reported its own; on a host without systemd
   * the oldest, which scripts expect there.
   */
  hostVersion: number;
  readonly #shell: ServiceShell;
  readonly #sweeper: Sweeper;
  readonly #reporter: EventReporter;
  #notify: NotifyListener | null = null;

  constructor(scope: ScopeKind) {
    this.scope = scope;
    this.paths = pathsOf(scope);
    this.hostVersion = usesSystemd(this.paths) ? Number.POSITIVE_INFINITY : 0;
    this.#shell = new ServiceShell(shellOptions(scope, this.paths), this);
    this.#sweeper = new Sweeper(this.paths, this.log);
    this.#reporter = new EventReporter(this.paths.machines, this.log);
    this.tree = objectTree(
      { path: IMPORT1_PATH, manager: bindManager(this), log: this.log },
      { transfer: transferObjects(this.transfers, bindTransfer(this)) },
    );
  }

  /** Serves until it is stopped; returns the exit code. */
  run(): Promise<number> {
    return this.#shell.run();
  }

  get log() {
    return this.#shell.log;
  }

  get notifySocket(): string {
    return this.#notify?.address ?? "";
  }

  authority(): Authority | null {
    return this.#shell.authority;
  }

  busy(): () => void {
    return this.#shell.hold();
  }

  sweep(): void {
    this.#sweeper.sweep();
  }

  announceStart(transfer: Transfer): void {
    const path = transferPath(transfer);
    this.#shell.emit(IMPORT1_PATH, ImportManager, "TransferNew", transferReference(transfer));
    transfer.follow({
      log: (_transfer, { priority, text }) =>
        this.#shell.emit(path, TransferTable, "LogMessage", { priority, line: text }),
      progress: () => this.#shell.emit(path, TransferTable, "ProgressUpdate", { progress: transfer.progress }),
    });
    this.#reporter.follow(transfer);
  }

  announceEnd(transfer: Transfer, result: TransferResult): void {
    const args = { ...transferReference(transfer), result };
    this.#shell.emit(IMPORT1_PATH, ImportManager, "TransferRemoved", args);
    this.#reporter.ended(transfer, result);
    this.#shell.touch();
  }

  async connected(bus: BusClient): Promise<void> {
    const version = await systemdVersion((call) => bus.call({ ...call, timeoutMs: VERSION_PATIENCE_MS }));
    this.hostVersion = version ?? this.hostVersion;
  }

  open(): void {
    this.#shell.orWarn(this.paths.notify, (path) => {
      makeSocketDirectory(path);
      this.#notify = new NotifyListener(path, ({ values, sender }) => this.#receiveReport(values, sender.pid));
    });
    const server = this.#shell.varlinkServer([importVarlink(this), ownVarlink(this), serviceVarlink(this.log)]);
    listenVarlink(this.log, server, [this.paths.varlink], this.scope === "user" ? 0o600 : 0o666);
  }

  opened(): void {
    this.sweep();
  }

  work(): { readonly transfers: number } {
    return { transfers: this.transfers.size };
  }

  async stop(): Promise<void> {
    await Promise.all([...this.transfers].map((transfer) => transfer.stop(WORKER_PATIENCE_MS)));
    await this.#sweeper.finished(WORKER_PATIENCE_MS);
    await this.#reporter.close();
    this.#notify?.close();
    for (const path of [this.paths.notify, this.paths.privateBus]) rmSync(path, { force: true });
  }

  /**
   * Handles a report on the notify socket. Only root can write to it; a process of root that is no worker is ignored.
   */
  #receiveReport(values: ReadonlyMap<string, string>, pid: number): void {
    const percent = values.get("X_IMPORT_PROGRESS");
    const transfer = this.transfers.byWorker(pid);
    if (transfer === null) this.log.warning("Got notification datagram from unexpected peer, ignoring.");
    else if (percent !== undefined && !transfer.setProgress(percent)) {
      this.log.warning("Got invalid percent value, ignoring.");
    }
  }
}

function shellOptions(scope: ScopeKind, paths: Paths): ShellOptions {
  const isActivatable = usesSystemd(paths);
  return {
    identifier: "systemd-importd",
    facility: "daemon",
    busName: IMPORT1_NAME,
    bus: { kind: scope },
    busNeed: busNeed(scope, paths, isActivatable),
    busPatienceMs: BUS_PATIENCE_MS,
    lock: paths.lock,
    privateBus: paths.privateBus,
    isActivatable,
  };
}

/** Whether this is the host's own daemon on a host of systemd. */
function usesSystemd(paths: Paths): boolean {
  return !paths.isPrivate && isSystemdHost();
}

/** Whether the daemon needs a bus: without systemd its own sockets are enough. */
function busNeed(scope: ScopeKind, paths: Paths, isActivatable: boolean): ShellOptions["busNeed"] {
  if (paths.isPrivate && !isBusShown(scope)) return "none";
  return isActivatable && scope === "system" ? "required" : "optional";
}
