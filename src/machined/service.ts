// The service of machines: its sockets, its signals, who may register, and its end (systemd-machined.service(8)).
import { existsSync } from "node:fs";
import { MACHINE1_PATH, Manager } from "../api/machine1.ts";
import { serviceVarlink } from "../daemon/control.ts";
import { collectAmong } from "../daemon/garbage-collection.ts";
import { objectTree } from "../daemon/object-tree.ts";
import type { Authority } from "../daemon/permission/authority.ts";
import { logUnexpected } from "../daemon/process-events.ts";
import { type Served, ServiceShell } from "../daemon/service-shell.ts";
import { type Listener, listenAt, listenVarlink } from "../daemon/sockets.ts";
import type { ObjectTree } from "../ipc/bus/binding.ts";
import type { BusClient } from "../ipc/bus/client.ts";
import { CallCounts } from "../ipc/call-counts.ts";
import { HttpServer } from "../ipc/http/server.ts";
import { openFilesLimit } from "../ipc/peers.ts";
import { Addresses } from "../registry/machine/addresses.ts";
import { MachineFiles } from "../registry/machine/file.ts";
import type { Machine } from "../registry/machine/machine.ts";
import { Registry } from "../registry/machine/registry.ts";
import { Operations } from "../registry/operation.ts";
import type { ServiceManagerEvents } from "../registry/ports.ts";
import type { Daemon, RegisterPolicy } from "./action/daemon.ts";
import { Enablement } from "./action/enablement.ts";
import { watchAddresses } from "./events/address-events.ts";
import { watchCgroup } from "./events/cgroup-events.ts";
import { ImageEvents } from "./events/image-events.ts";
import { type EventFacts, EventLog } from "./events/log.ts";
import { MachineEvents } from "./events/machine-events.ts";
import { MachineWatches } from "./events/machine-watches.ts";
import { eventsVarlink } from "./events/subscriptions.ts";
import { imageMethods, imageObjects, poolGetters } from "./images/bus-bindings.ts";
import { Images } from "./images/images.ts";
import { imageVarlink } from "./images/varlink-bindings.ts";
import { openMachineMethods, openManagerMethods } from "./inside/bus-bindings.ts";
import { bindManager, machineObjects } from "./machines/bus-bindings.ts";
import { machinePath } from "./machines/bus-shapes.ts";
import { hostMachine } from "./machines/host.ts";
import { OwnCgroups } from "./machines/own-cgroups.ts";
import { Systemd1 } from "./machines/systemd1.ts";
import { machineVarlink, ownMachineVarlink } from "./machines/varlink-bindings.ts";
import { ResolveHook } from "./names/resolve-hook.ts";
import { NameSocket } from "./names/socket.ts";
import { adviseUserDatabaseClients, userDatabase } from "./names/userdb.ts";
import type { Scope } from "./scope.ts";
import { shellOptions, usesServiceManager } from "./shell-options.ts";
import { MetricsPage } from "./stats/metrics-page.ts";
import { Sampler } from "./stats/sampler.ts";
import { Streams } from "./stats/streams.ts";
import { statsVarlink } from "./stats/varlink-bindings.ts";

/** For how many machines events other than starts and ends are logged: each machine takes some watches. */
const WATCHED_MACHINES_LIMIT = 1024;
/** How much garbage a registration makes, compared with a call. */
const CALLS_OF_REGISTRATION = 4;

/** From this version of the host's systemd on, users other than root may register their own machines. */
const OPEN_REGISTRATION_VERSION = 258;

/** The daemon: it makes all parts, connects them, and closes them at its end. */
export class Service implements Daemon, Served {
  readonly addresses = new Addresses();
  readonly operations: Operations;
  readonly images: Images;
  readonly registry: Registry;
  readonly enablement: Enablement;
  readonly tree: ObjectTree;
  registerPolicy: RegisterPolicy;
  /**
   * The release of the host's systemd. Before systemd has reported it, that of the newest: users then need the most
   * permissions. 0 on a host without systemd.
   */
  hostVersion = 0;
  readonly #scope: Scope;
  readonly #shell: ServiceShell;
  readonly #systemd: Systemd1 | null;
  readonly #resolveHook: ResolveHook;
  readonly #names: NameSocket;
  /** Whether the log of events continues that of an earlier daemon. */
  #isContinued = false;
  readonly #events: EventLog;
  readonly #machineEvents: MachineEvents;
  readonly #watches: MachineWatches;
  readonly #tell = (facts: EventFacts) => this.#events.append(facts);
  readonly #imageEvents: ImageEvents;
  readonly #sampler: Sampler;
  readonly #streams = new Streams();
  readonly #counts = new CallCounts();
  readonly #http: HttpServer;

  constructor(scope: Scope) {
    const usesSystemd = usesServiceManager(scope);
    this.#scope = scope;
    this.#shell = new ServiceShell({ ...shellOptions(scope, usesSystemd), counts: this.#counts }, this);
    this.registerPolicy = scope.kind === "user" ? "self" : "root";
    this.operations = new Operations(this.log);
    this.images = Images.of(scope.images, this.operations, this.log);
    this.#events = new EventLog(scope.events, this.log);
    this.#imageEvents = new ImageEvents(this.images, this.log, (facts) => this.#events.append(facts));
    this.images.operated = () => this.#imageEvents.changed();
    this.#systemd = usesSystemd ? new Systemd1(scope.kind, this.#unitEvents()) : null;
    if (usesSystemd) this.hostVersion = Number.POSITIVE_INFINITY;
    this.enablement = new Enablement(this.#systemd, this.log);
    this.#machineEvents = new MachineEvents(this.#events);
    this.#watches = new MachineWatches((machine, isNew) => this.#watch(machine, isNew), this.log, watchedLimit());
    this.registry = this.#makeRegistry();
    if (scope.kind === "system") this.registry.addHost(hostMachine(existsSync("/dev/vsock")));
    this.#resolveHook = new ResolveHook(this);
    this.#names = new NameSocket(this, this.#shell.peers);
    this.#sampler = new Sampler({ registry: this.registry });
    this.tree = this.#makeTree();
    this.#http = this.#makeHttp();
  }

  /** Serves until it is stopped; returns the exit code. */
  run(): Promise<number> {
    return this.#shell.run();
  }

  get log() {
    return this.#shell.log;
  }

  /**
   * Returns the system bus, or null while there is none. A user's own daemon always returns null: only that user can
   * call it.
   */
  bus(): BusClient | null {
    return this.#scope.kind === "system" ? this.#shell.bus : null;
  }

  authority(): Authority | null {
    return this.bus() === null ? null : this.#shell.authority;
  }

  async connected(bus: BusClient): Promise<void> {
    const version = (await this.#systemd?.attach(bus)) ?? null;
    if (version !== null) this.hostVersion = version;
    else if (this.#systemd !== null)
      this.log.warning("systemd reports no version: users need the permissions of its newest release");
    this.#choosePolicy(version);
  }

  /** Restores the machines of an earlier process, then opens the sockets. */
  open(): void {
    this.#isContinued = this.#events.open();
    this.registry.restore();
    this.#machineEvents.takenOver(this.#isContinued);
    const { varlink, userDatabase: users, resolveHook, names, metrics, socketMode } = this.#scope;
    const machines = [
      ...[machineVarlink(this), ownMachineVarlink(this), imageVarlink(this, this.images), eventsVarlink(this.#events)],
      ...[serviceVarlink(this.log), statsVarlink(this, this.#sampler, this.#streams)],
    ];
    listenVarlink(this.log, this.#shell.varlinkServer(machines), varlink, socketMode);
    this.#listen(this.#shell.varlinkServer([userDatabase(this)]), users);
    this.#listen(this.#shell.varlinkServer([this.#resolveHook.bound]), resolveHook);
    this.#listen(this.#names, names);
    this.#listen(this.#http, metrics);
    if (users !== null) adviseUserDatabaseClients(users);
  }

  opened(): void {
    this.images.sweep();
    this.#imageEvents.open();
  }

  work() {
    return { machines: this.registry.size, operations: this.operations.size };
  }

  async stop(): Promise<void> {
    this.images.close();
    await this.operations.cancelAll();
    this.registry.saveUnsaved();
    this.#names.close();
    this.#watches.close();
    this.#imageEvents.close();
    this.#events.close();
    this.#http.close();
    this.#sampler[Symbol.dispose]();
  }

  #makeRegistry(): Registry {
    const files = new MachineFiles(this.#scope.machines);
    return new Registry(files, this.#systemd ?? new OwnCgroups(this.log, this.#scope.slice), this.log, {
      machineNew: (machine) => {
        collectAmong(CALLS_OF_REGISTRATION);
        this.#sampler.add(machine);
        this.#watches.add(machine, this.#machineEvents.started(machine));
        this.#announce("MachineNew", machine);
      },
      machineRemoved: (machine, removal) => {
        this.addresses.forget(machine);
        this.#sampler.forget(machine);
        this.operations.cancel(machine);
        this.#watches.remove(machine);
        this.#machineEvents.removed(machine, removal);
        this.#announce("MachineRemoved", machine);
        this.#shell.touch();
      },
      machineVanished: (name, leader) => this.#machineEvents.vanished(name, leader),
      leaderExited: (machine) => this.#machineEvents.leaderExited(machine),
    });
  }

  #watch(machine: Machine, isNew: boolean): readonly Disposable[] {
    // A continued log knows whether the machine was paused; it may have been paused or resumed while no daemon ran.
    const wasPaused = isNew || this.#isContinued ? this.#events.paused.has(machine.name) : null;
    const ofGroup = watchCgroup(machine.name, machine.place?.cgroup ?? "", this.#tell, wasPaused);
    const ofAddresses = watchAddresses(machine, this.addresses, this.#tell, isNew);
    return ofAddresses === null ? ofGroup : [...ofGroup, ofAddresses];
  }

  #makeHttp(): HttpServer {
    const { peers } = this.#shell;
    const sources = { daemon: this, sampler: this.#sampler, streams: this.#streams, counts: this.#counts, peers };
    const page = new MetricsPage(sources);
    return new HttpServer({
      peers,
      answer: (request) => page.answer(request),
      bug: (error, where) => logUnexpected(this.log, error, where),
      debug: (message) => this.log.debug(message),
    });
  }

  #makeTree(): ObjectTree {
    const manager = bindManager(this, {
      methods: { ...openManagerMethods(this), ...imageMethods(this, this.images) },
      pool: poolGetters(this.images),
    });
    return objectTree(
      { path: MACHINE1_PATH, manager, log: this.log },
      { image: imageObjects(this, this.images), machine: machineObjects(this, openMachineMethods(this)) },
    );
  }

  #unitEvents(): ServiceManagerEvents {
    return {
      unitChanged: (unit) => this.registry.unitChanged(unit),
      reloaded: () => this.registry.unitChanged(null),
      stopping: (isStopping) => {
        this.#machineEvents.isHostStopping = isStopping && this.#scope.kind === "system";
      },
    };
  }

  #choosePolicy(version: number | null): void {
    if (this.#scope.kind === "user") return;
    const wanted = process.env["MACHINED_REGISTER_POLICY"];
    if (wanted === "root" || wanted === "polkit") this.registerPolicy = wanted;
    else if (version !== null && version >= OPEN_REGISTRATION_VERSION) this.registerPolicy = "polkit";
  }

  #announce(member: "MachineNew" | "MachineRemoved", machine: Machine): void {
    this.#shell.emit(MACHINE1_PATH, Manager, member, { machine: machine.name, path: machinePath(machine) });
    this.#resolveHook.changed();
  }

  #listen(server: Listener, path: string | null): void {
    if (path !== null) this.#shell.orWarn(path, () => server.listen(listenAt(path, this.#scope.socketMode)));
  }
}

/** Returns how many machines can be watched: each takes two descriptors beside those that every machine takes. */
function watchedLimit(): number {
  return Math.min(WATCHED_MACHINES_LIMIT, Math.floor(openFilesLimit() / 8));
}
