// The daemon as it runs: what it serves on, what it announces, and how it ends.
import { existsSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { IMPORT1_NAME, IMPORT1_PATH, ImportManager, Transfer as TransferTable } from "../api/import1.ts";
import type { Arguments } from "../api/table.ts";
import { errnoNameOf, hostFaultOf } from "../base/error.ts";
import type { TransferResult } from "../base/transfer.ts";
import { Authority } from "../daemon/authority.ts";
import { serviceVarlink } from "../daemon/control.ts";
import { collectGarbageSoon } from "../daemon/garbage-collection.ts";
import { delayFailure, EXIT_SUPERFLUOUS, isSuperfluous, lockInstance } from "../daemon/instance-lock.ts";
import { DaemonLog } from "../daemon/log.ts";
import { PrivateBus } from "../daemon/private-bus.ts";
import { SystemBus } from "../daemon/system-bus.ts";
import { BusServer, describe } from "../ipc/bus/server.ts";
import { isPrivileged } from "../ipc/caller.ts";
import { Peers } from "../ipc/peers.ts";
import { VarlinkServer } from "../ipc/varlink/server.ts";
import { listenFds, notify } from "../kernel/socket/notify.ts";
import { NotifyListener } from "../kernel/socket/notify-listener.ts";
import { listenUnix } from "../kernel/socket/unix.ts";
import { feedWatchdog } from "../kernel/socket/watchdog.ts";
import type { Scope } from "./arguments.ts";
import { bindAll } from "./bindings.ts";
import type { ImportDaemon } from "./daemon.ts";
import { hostId, systemdVersion } from "./host.ts";
import { IdleTimer, idleLimitMs } from "./idle.ts";
import { objectTree, transferPath } from "./objects.ts";
import { pathsOf } from "./paths.ts";
import { Sweeper } from "./sweeper.ts";
import type { Transfer } from "./transfer.ts";
import { Transfers } from "./transfers.ts";
import { importVarlink } from "./varlink-bindings.ts";

/** How long workers get to clean up when the daemon ends. */
const WORKER_PATIENCE_MS = 10_000;
/** A bus that does not answer for this long is done without, until it does. */
const BUS_PATIENCE_MS = 10_000;
const SIGNAL = 4;

export class Service implements ImportDaemon {
  readonly scope: Scope;
  readonly paths;
  readonly log = new DaemonLog("systemd-importd", "daemon");
  readonly transfers = new Transfers();
  hostVersion = Number.POSITIVE_INFINITY;
  readonly #server: BusServer;
  readonly #varlink: VarlinkServer;
  readonly #bus: SystemBus;
  readonly #authority: Authority;
  readonly #peers = new Peers();
  readonly #sweeper: Sweeper;
  readonly #idle: IdleTimer;
  #notify: NotifyListener | null = null;
  #privateBus: PrivateBus | null = null;
  #lock: Disposable | null = null;
  #stop: (code: number) => void = () => {};

  constructor(scope: Scope, version: string) {
    process.umask(0o022);
    this.scope = scope;
    this.paths = pathsOf(scope);
    this.#sweeper = new Sweeper(this.paths);
    this.#idle = new IdleTimer({
      afterMs: idleLimitMs(this.#isActivatable()),
      isIdle: () => this.#isIdle(),
      expired: () => this.#expire(),
      stays: () => this.log.debug(`Not exiting: ${this.transfers.size} transfers, ${this.#connections} connections.`),
    });
    const called = () => {
      this.#idle.touch();
      collectGarbageSoon();
    };
    const bug = (error: unknown, where: string) => this.#bug(error, where);
    this.#server = new BusServer({
      tree: objectTree(this.transfers, bindAll(this)),
      machineId: hostId,
      isPrivileged,
      bug,
      called,
    });
    this.#varlink = new VarlinkServer({
      product: "systemd-importd",
      version,
      interfaces: [importVarlink(this), serviceVarlink(this.log)],
      peers: this.#peers,
      bug,
      called,
      debug: (message) => this.log.debug(message),
    });
    this.#authority = new Authority({ kind: scope });
    this.#bus = new SystemBus(IMPORT1_NAME, { kind: scope }, this.#server, this.#peers.turns, this.log, {
      connected: async (bus) => {
        this.hostVersion = (await systemdVersion(bus)) ?? this.hostVersion;
      },
    });
  }

  get notifySocket(): string {
    return this.#notify?.address ?? "";
  }

  authority(): Authority | null {
    return this.#bus.client === null ? null : this.#authority;
  }

  busy(): () => void {
    return this.#idle.hold();
  }

  sweep(): void {
    this.#sweeper.sweep();
  }

  announceStart(transfer: Transfer): void {
    const { id } = transfer;
    const path = transferPath(transfer);
    this.#emit(IMPORT1_PATH, ImportManager.name, "TransferNew", ImportManager.signals.TransferNew.args, [id, path]);
    transfer.follow({
      log: (_transfer, { priority, text }) =>
        this.#emit(path, TransferTable.name, "LogMessage", TransferTable.signals.LogMessage.args, [priority, text]),
      progress: () =>
        this.#emit(path, TransferTable.name, "ProgressUpdate", TransferTable.signals.ProgressUpdate.args, [
          transfer.progress,
        ]),
    });
  }

  announceEnd(transfer: Transfer, result: TransferResult): void {
    const { args } = ImportManager.signals.TransferRemoved;
    const values = [transfer.id, transferPath(transfer), result];
    this.#emit(IMPORT1_PATH, ImportManager.name, "TransferRemoved", args, values);
    this.#idle.touch();
  }

  #emit(path: string, iface: string, member: string, args: Arguments, body: unknown[]): void {
    const signature = Object.values(args).join("");
    const signal = { type: SIGNAL, path, interface: iface, member, signature, body };
    this.#bus.send(signal);
    this.#privateBus?.broadcast(signal);
  }

  #bug(error: unknown, where: string): void {
    if (hostFaultOf(error) !== null) this.log.error(`Failed in ${where}: ${(error as Error).message}`);
    else this.log.error(`Bug in ${where}: ${(error as Error).stack ?? error}`);
  }

  /** Whether the next call would start the daemon again: only then may it end for want of work. */
  #isActivatable(): boolean {
    return !this.paths.isPrivate && existsSync("/run/systemd/system");
  }

  #isIdle(): boolean {
    return this.transfers.size === 0 && this.#connections === 0;
  }

  get #connections(): number {
    return this.#varlink.connections + (this.#privateBus?.peers ?? 0);
  }

  #expire(): void {
    this.log.debug("Nothing to do, exiting.");
    this.#stop(0);
  }

  /** Serves until a signal comes or there is nothing to do; gives the exit code. */
  async run(): Promise<number> {
    const stopped = new Promise<number>((resolve) => {
      this.#stop = resolve;
    });
    // A bug in one callback must not take every transfer with it.
    process.on("uncaughtException", (error) => this.#bug(error, "a callback"));
    process.on("unhandledRejection", (error) => this.#bug(error, "a promise"));
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => this.#stop(0));
    try {
      await this.#start();
    } catch (error) {
      this.#lock?.[Symbol.dispose]();
      const text = describe(error)?.text ?? (error as Error).stack ?? String(error);
      this.log.error(isSuperfluous(error) ? (error as Error).message : `Failed to start: ${text}`);
      await delayFailure();
      return isSuperfluous(error) ? EXIT_SUPERFLUOUS : 1;
    }
    const code = await stopped;
    await this.#end();
    return code;
  }

  /** The bus first: there it shows which host this is, and whether another daemon is here, whose sockets stay its own. */
  async #start(): Promise<void> {
    this.#lock = lockInstance(this.paths.lock, this.log);
    const connecting = this.#connect();
    await Promise.race([connecting, Bun.sleep(BUS_PATIENCE_MS)]);
    // A bus that answers after all may say that the name is taken.
    connecting.catch((error: Error) => {
      this.log.error(error.message);
      this.#stop(isSuperfluous(error) ? EXIT_SUPERFLUOUS : 1);
    });
    this.#orWarn(this.paths.notify, (path) => {
      mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
      this.#notify = new NotifyListener(path, ({ values, sender }) => this.#told(values, sender.pid));
    });
    this.#orWarn(this.paths.varlink, () => this.#listen());
    this.#orWarn(this.paths.privateBus, (path) => {
      this.#privateBus = new PrivateBus(path, this.#server, this.#peers, this.log);
    });
    this.sweep();
    this.#idle.touch();
    notify("READY=1\nSTATUS=Processing requests...");
    feedWatchdog();
  }

  /** A socket that cannot be made is a warning: transfers and the other sockets do not depend on it. */
  #orWarn(path: string, listen: (path: string) => void): void {
    try {
      listen(path);
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      this.log.warning(`Cannot listen on ${path}: ${(error as Error).message}`);
    }
  }

  /** Without systemd the bus is a courtesy: there are the daemon's own sockets. */
  async #connect(): Promise<void> {
    if (this.paths.isPrivate && process.env["DBUS_SYSTEM_BUS_ADDRESS"] === undefined) return;
    try {
      await this.#bus.connect();
    } catch (error) {
      if (isSuperfluous(error) || (this.#isActivatable() && this.scope === "system")) throw error;
      this.log.info(`Serving without a bus: ${(error as Error).message}`);
    }
  }

  /** A socket that the service manager opened for us comes first. */
  #listen(): void {
    const inherited = listenFds().filter(({ name }) => name === "varlink");
    for (const { fd } of inherited) this.#varlink.listen(fd);
    if (inherited.length > 0) return;
    const { varlink } = this.paths;
    mkdirSync(dirname(varlink), { recursive: true, mode: 0o755 });
    this.#varlink.listen(listenUnix(varlink, { mode: this.scope === "user" ? 0o600 : 0o666 }));
  }

  /** A worker's report. Others can write to the socket only as root, and are not believed. */
  #told(values: ReadonlyMap<string, string>, pid: number): void {
    const percent = values.get("X_IMPORT_PROGRESS");
    const transfer = this.transfers.byWorker(pid);
    if (transfer === null) this.log.warning("Got notification datagram from unexpected peer, ignoring.");
    else if (percent !== undefined && !transfer.setProgress(percent)) {
      this.log.warning("Got invalid percent value, ignoring.");
    }
  }

  /** systemd is told first: a call that comes now then waits for the next daemon instead of going to this one. */
  async #end(): Promise<void> {
    this.#idle.stop();
    notify("STOPPING=1\nSTATUS=Shutting down...");
    await Promise.all([...this.transfers].map((transfer) => transfer.stop(WORKER_PATIENCE_MS)));
    await this.#sweeper.finished();
    this.#authority.close();
    this.#privateBus?.close();
    this.#varlink.close();
    this.#notify?.close();
    for (const path of [this.paths.notify, this.paths.privateBus]) rmSync(path, { force: true });
    // The next daemon may start as soon as the name is free.
    this.#lock?.[Symbol.dispose]();
    await this.#bus.close();
  }
}
