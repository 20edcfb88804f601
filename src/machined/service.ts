// The daemon itself: takes up what an earlier process left, serves its bus and its own sockets, and goes on until it is told
// to stop (systemd-machined.service(8)).
import { existsSync, lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { MACHINE1_NAME, MACHINE1_PATH, Manager } from "../api/machine1.ts";
import { errnoNameOf, hostFaultOf } from "../base/error.ts";
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
import { type BoundVarlink, VarlinkServer } from "../ipc/varlink/server.ts";
import type { Fd } from "../kernel/file/fd.ts";
import { listenFds, notify } from "../kernel/socket/notify.ts";
import { listenUnix } from "../kernel/socket/unix.ts";
import { feedWatchdog } from "../kernel/socket/watchdog.ts";
import { Addresses } from "../registry/machine/addresses.ts";
import { MachineFiles } from "../registry/machine/file.ts";
import type { Machine } from "../registry/machine/machine.ts";
import { Registry } from "../registry/machine/registry.ts";
import { Operations } from "../registry/operation.ts";
import type { Daemon, RegisterPolicy } from "./action/daemon.ts";
import { Enablement } from "./action/enablement.ts";
import { IdleExit } from "./idle-exit.ts";
import { imageMethods, imageObjects, poolGetters } from "./images/bus-bindings.ts";
import { Images } from "./images/images.ts";
import { imageVarlink } from "./images/varlink-bindings.ts";
import { openMachineMethods, openManagerMethods } from "./inside/bus-bindings.ts";
import { bindAll } from "./machines/bus-bindings.ts";
import { machinePath } from "./machines/bus-shapes.ts";
import { hostId, hostMachine } from "./machines/host.ts";
import { OwnCgroups } from "./machines/own-cgroups.ts";
import { Systemd1 } from "./machines/systemd1.ts";
import { machineVarlink } from "./machines/varlink-bindings.ts";
import { NameSocket } from "./names/name-socket.ts";
import { ResolveHook } from "./names/resolve-hook.ts";
import { adviseUserDatabaseClients, userDatabase } from "./names/userdb.ts";
import { objectTree } from "./objects.ts";
import type { Scope } from "./scope.ts";
import { VERSION } from "./version.ts";

/** Since this version of the host's systemd users other than root may register their own machines. */
const OPEN_REGISTRATION_VERSION = 258;

export class Service implements Daemon {
  readonly log = new DaemonLog("systemd-machined", "auth");
  readonly addresses = new Addresses();
  readonly operations = new Operations(this.log);
  readonly images: Images;
  readonly registry: Registry;
  readonly enablement: Enablement;
  registerPolicy: RegisterPolicy;
  hostVersion = 0;
  readonly #scope: Scope;
  readonly #systemd: Systemd1 | null;
  readonly #systemBus: SystemBus;
  readonly #authority: Authority;
  readonly #server: BusServer;
  readonly #varlink: readonly VarlinkServer[];
  readonly #resolveHook: ResolveHook;
  readonly #idle: IdleExit;
  #privateBus: PrivateBus | null = null;
  readonly #peers = new Peers();
  readonly #names = new NameSocket(this, this.#peers);
  #lock: Disposable | null = null;
  #isReady = false;
  #stop: (code: number) => void = () => {};

  constructor(scope: Scope) {
    process.umask(0o022);
    this.#scope = scope;
    this.registerPolicy = scope.kind === "user" ? "self" : "root";
    this.images = Images.of(scope.images, this.operations, this.log);
    this.#systemd = this.#usesSystemd() ? new Systemd1(scope.kind, this.#unitEvents()) : null;
    this.enablement = new Enablement(this.#systemd, this.log);
    this.registry = new Registry(
      new MachineFiles(scope.machines),
      this.#systemd ?? new OwnCgroups(this.log),
      this.log,
      {
        machineNew: (machine) => {
          this.#announce("MachineNew", machine);
          this.#resolveHook.changed();
        },
        machineRemoved: (machine) => {
          this.addresses.forget(machine);
          this.operations.cancel(machine);
          this.#announce("MachineRemoved", machine);
          this.#resolveHook.changed();
          this.#idle.touch();
        },
      },
    );
    if (scope.kind === "system") this.registry.addHost(hostMachine(existsSync("/dev/vsock")));
    const interfaces = bindAll(this, this.log, {
      manager: { ...openManagerMethods(this), ...imageMethods(this, this.images) },
      machine: openMachineMethods(this),
      pool: poolGetters(this.images),
    });
    this.#server = new BusServer({
      tree: objectTree(this.registry, interfaces, imageObjects(this, this.images)),
      machineId: hostId,
      isPrivileged,
      bug: (error, where) => this.#bug(error, where),
      called: () => this.#called(),
    });
    this.#idle = new IdleExit(
      scope.kind === "user",
      () => this.#isIdle(),
      () => this.#stop(0),
    );
    this.#resolveHook = new ResolveHook(this);
    this.#varlink = [
      this.#varlinkServer([machineVarlink(this), imageVarlink(this, this.images), serviceVarlink(this.log)]),
      this.#varlinkServer([userDatabase(this)]),
      this.#varlinkServer([this.#resolveHook.bound]),
    ];
    this.#authority = new Authority(scope.bus);
    this.#systemBus = new SystemBus(MACHINE1_NAME, scope.bus, this.#server, this.#peers.turns, this.log, {
      connected: async (bus) => {
        await this.#systemd?.attach(bus);
        await this.#choosePolicy();
        this.#becomeReady();
      },
    });
  }

  #varlinkServer(interfaces: readonly BoundVarlink[]): VarlinkServer {
    return new VarlinkServer({
      product: "systemd-machined",
      version: VERSION,
      interfaces,
      peers: this.#peers,
      bug: (error, where) => this.#bug(error, where),
      called: () => this.#called(),
      debug: (message) => this.log.debug(message),
    });
  }

  /** An error that nobody expected. What the host causes is said as such: it is no bug, and its stack helps nobody. */
  #bug(error: unknown, where: string): void {
    if (hostFaultOf(error) !== null) this.log.error(`Failed in ${where}: ${(error as Error).message}`);
    else this.log.error(`Bug in ${where}: ${(error as Error).stack ?? error}`);
  }

  /** A user's own daemon asks nobody: only that user gets in. */
  bus() {
    return this.#scope.kind === "system" ? this.#systemBus.client : null;
  }

  authority(): Authority | null {
    return this.bus() === null ? null : this.#authority;
  }

  #called(): void {
    collectGarbageSoon();
    this.#idle.touch();
  }

  /** The host's daemon stays; a user's ends when there is nothing left to keep. */
  #isIdle(): boolean {
    const connections = this.#varlink.reduce((sum, server) => sum + server.connections, 0);
    return this.registry.isEmpty && this.operations.size === 0 && connections === 0;
  }

  /** MACHINED_SERVICE_MANAGER ("systemd" or "own") overrides what is found out. */
  #usesSystemd(): boolean {
    const wanted = process.env["MACHINED_SERVICE_MANAGER"];
    if (wanted === "systemd" || wanted === "own") return wanted === "systemd";
    return !this.#scope.isPrivate && existsSync("/run/systemd/system");
  }

  #unitEvents() {
    return {
      unitChanged: (unit: string) => this.registry.unitChanged(unit),
      reloaded: () => this.registry.unitChanged(null),
    };
  }

  async #choosePolicy(): Promise<void> {
    const wanted = process.env["MACHINED_REGISTER_POLICY"];
    this.hostVersion = (await this.#systemd?.version()) ?? 0;
    if (this.#scope.kind === "user") return;
    if (wanted === "root" || wanted === "polkit") this.registerPolicy = wanted;
    else if (this.hostVersion >= OPEN_REGISTRATION_VERSION) this.registerPolicy = "polkit";
  }

  #announce(member: "MachineNew" | "MachineRemoved", machine: Machine): void {
    const signal = {
      type: 4,
      path: MACHINE1_PATH,
      interface: Manager.name,
      member,
      signature: "so",
      body: [machine.name, machinePath(machine)],
    };
    this.#systemBus.send(signal);
    this.#privateBus?.broadcast(signal);
  }

  /** Serves until a signal comes; gives the exit code. */
  async run(): Promise<number> {
    const stopped = new Promise<number>((resolve) => {
      this.#stop = resolve;
    });
    // A bug in one callback must not take every machine's registration with it.
    process.on("uncaughtException", (error) => this.#bug(error, "a callback"));
    process.on("unhandledRejection", (error) => this.#bug(error, "a promise"));
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.on(signal, () => this.#stop(0));
    try {
      await this.#start();
    } catch (error) {
      return this.#failToStart(error);
    }
    const code = await stopped;
    notify("STOPPING=1\nSTATUS=Shutting down...");
    await this.operations.cancelAll();
    this.registry.saveUnsaved();
    this.#authority.close();
    this.#privateBus?.close();
    for (const server of this.#varlink) server.close();
    this.#names.close();
    // The next daemon may start as soon as the name is free.
    this.#lock?.[Symbol.dispose]();
    await this.#systemBus.close();
    return code;
  }

  async #failToStart(error: unknown): Promise<number> {
    this.#lock?.[Symbol.dispose]();
    const text = describe(error)?.text ?? (error as Error).stack ?? String(error);
    this.log.error(isSuperfluous(error) ? (error as Error).message : `Failed to start: ${text}`);
    await this.#systemBus.close();
    await delayFailure();
    return isSuperfluous(error) ? EXIT_SUPERFLUOUS : 1;
  }

  /** The lock and the name on the bus come first: a second daemon ends here, and has touched nothing. */
  async #start(): Promise<void> {
    this.#lock = lockInstance(this.#scope.lock, this.log);
    if (this.#systemd !== null) await this.#systemBus.connect();
    else await this.#connectWhereThereIsABus();
    this.#becomeReady();
    this.images.sweep();
    feedWatchdog();
    this.#idle.touch();
  }

  /**
   * Takes up the machines, opens the sockets and says so; once. On a bus calls are answered after that: whoever gets an
   * answer finds a service that has been started.
   */
  #becomeReady(): void {
    if (this.#isReady) return;
    this.#isReady = true;
    this.registry.restore();
    this.#listen();
    this.#orWarn(this.#scope.privateBus, (path) => {
      this.#privateBus = new PrivateBus(path, this.#server, this.#peers, this.log);
    });
    notify("READY=1\nSTATUS=Processing requests...");
  }

  /** Sockets that the service manager opened for us come first; what it did not open is opened here. */
  #listen(): void {
    const [machine, userDatabase, resolveHook] = this.#varlink;
    const inherited = listenFds().filter(({ name }) => name === "varlink");
    for (const { fd } of inherited) machine?.listen(fd);
    if (inherited.length === 0) for (const path of this.#scope.varlink) this.#open(machine, path);
    this.#open(userDatabase, this.#scope.userDatabase);
    this.#open(resolveHook, this.#scope.resolveHook);
    this.#open(this.#names, this.#scope.names);
    if (this.#scope.userDatabase !== null) adviseUserDatabaseClients(this.#scope.userDatabase);
  }

  #open(server: { listen(socket: Fd): void } | undefined, path: string | null): void {
    if (path !== null) this.#orWarn(path, () => server?.listen(listenAt(path, this.#scope.socketMode)));
  }

  /** A socket that cannot be made is a warning: the machines and the other sockets do not depend on it. */
  #orWarn(path: string, listen: (path: string) => void): void {
    try {
      listen(path);
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      this.log.warning(`Cannot listen on ${path}: ${(error as Error).message}`);
    }
  }

  /** Without systemd the bus is a courtesy: there is the private socket. */
  async #connectWhereThereIsABus(): Promise<void> {
    if (this.#scope.isPrivate && !isBusShown(this.#scope)) return;
    await this.#systemBus.connect().catch((error: Error) => {
      if (isSuperfluous(error)) throw error;
      this.log.info(`Serving without a bus: ${error.message}`);
    });
  }
}

/** Whether the environment names the bus of this scope. */
function isBusShown(scope: Scope): boolean {
  const variable = scope.kind === "system" ? "DBUS_SYSTEM_BUS_ADDRESS" : "DBUS_SESSION_BUS_ADDRESS";
  return process.env[variable] !== undefined;
}

/** A listening socket, in a directory that is made where it is missing. */
function listenAt(path: string, mode: number): Fd {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  // A link that a socket unit made outlives its socket.
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true) unlinkSync(path);
  return listenUnix(path, { mode });
}
