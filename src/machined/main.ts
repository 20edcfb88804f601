// systemd-machined: takes up what an earlier process left, serves the bus and its own sockets, and goes on until it is
// told to stop (systemd-machined.service(8)).
import { existsSync, lstatSync, mkdirSync, unlinkSync } from "node:fs";
import { dirname } from "node:path";
import { MACHINE1_NAME, MACHINE1_PATH, Manager } from "../api/machine1.ts";
import { errnoNameOf } from "../base/error.ts";
import { BusServer, describe } from "../ipc/bus-server.ts";
import { serviceVarlink } from "../ipc/daemon-control.ts";
import { DaemonLog } from "../ipc/daemon-log.ts";
import { collectGarbageSoon } from "../ipc/housekeeping.ts";
import { isPrivileged } from "../ipc/polkit.ts";
import { PrivateBus } from "../ipc/private-bus.ts";
import { SystemBus } from "../ipc/system-bus.ts";
import { type BoundVarlink, VarlinkServer } from "../ipc/varlink-server.ts";
import type { Fd } from "../kernel/fd.ts";
import { listenFds, notify, watchdogIntervalUsec } from "../kernel/notify.ts";
import { listenUnix } from "../kernel/unix-socket.ts";
import { Addresses } from "../registry/addresses.ts";
import type { Machine } from "../registry/machine.ts";
import { MachineFiles } from "../registry/machine-file.ts";
import { Operations } from "../registry/operation.ts";
import { Registry } from "../registry/registry.ts";
import { HELP, parseArguments } from "./arguments.ts";
import { bindAll } from "./bindings.ts";
import type { Daemon, RegisterPolicy } from "./daemon.ts";
import { hostId, hostMachine } from "./host.ts";
import { imageMethods, imageObjects, poolGetters } from "./image-bindings.ts";
import { Images } from "./images.ts";
import { NameSocket } from "./name-socket.ts";
import { objectTree } from "./objects.ts";
import { openMachineMethods, openManagerMethods } from "./open-bindings.ts";
import { OwnCgroups } from "./own-cgroups.ts";
import { PATHS } from "./paths.ts";
import { ResolveHook } from "./resolve-hook.ts";
import { Systemd1 } from "./systemd1.ts";
import { adviseUserDatabaseClients, userDatabase } from "./userdb.ts";
import { machineVarlink } from "./varlink-bindings.ts";
import { machinePath } from "./wire.ts";

/** Since this version of the host's systemd users other than root may register their own machines. */
const OPEN_REGISTRATION_VERSION = 258;

const VERSION = "262 (machined 0.1.0)";

/** Runs the program; gives its exit code. */
export async function main(args: string[]): Promise<number> {
  const command = parseArguments(args);
  if (command.kind === "help") process.stdout.write(HELP);
  else if (command.kind === "version") process.stdout.write(`systemd ${VERSION}\n`);
  else if (command.kind === "error") process.stderr.write(`systemd-machined: ${command.message}\n`);
  else if (command.kind === "run") return new Service().run();
  return command.kind === "error" ? 1 : 0;
}

class Service implements Daemon {
  readonly log = new DaemonLog("systemd-machined", "auth");
  readonly addresses = new Addresses();
  readonly operations = new Operations(this.log);
  readonly images = Images.ofHost(this.operations, this.log);
  readonly registry: Registry;
  registerPolicy: RegisterPolicy = "root";
  readonly #systemd: Systemd1 | null;
  readonly #systemBus: SystemBus;
  readonly #server: BusServer;
  readonly #varlink: readonly VarlinkServer[];
  readonly #resolveHook: ResolveHook;
  #privateBus: PrivateBus | null = null;
  readonly #names = new NameSocket(this);
  #restored = false;
  #stop: (code: number) => void = () => {};

  constructor() {
    process.umask(0o022);
    this.#systemd = this.#usesSystemd() ? new Systemd1(this.#unitEvents()) : null;
    this.registry = new Registry(
      new MachineFiles(PATHS.machines),
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
        },
      },
    );
    this.registry.addHost(hostMachine(existsSync("/dev/vsock")));
    const interfaces = bindAll(this, this.log, {
      manager: { ...openManagerMethods(this, this.operations), ...imageMethods(this, this.images) },
      machine: openMachineMethods(this, this.operations),
      pool: poolGetters(this.images),
    });
    this.#server = new BusServer({
      tree: objectTree(this.registry, interfaces, imageObjects(this, this.images)),
      machineId: hostId,
      isPrivileged,
      bug: (error, where) => this.#bug(error, where),
      called: collectGarbageSoon,
    });
    this.#resolveHook = new ResolveHook(this);
    this.#varlink = [
      this.#varlinkServer([machineVarlink(this, this.operations), serviceVarlink(this.log)]),
      this.#varlinkServer([userDatabase(this)]),
      this.#varlinkServer([this.#resolveHook.bound]),
    ];
    this.#systemBus = new SystemBus(MACHINE1_NAME, { kind: "system" }, this.#server, this.log, {
      connected: async (bus) => {
        await this.#systemd?.attach(bus);
        await this.#choosePolicy();
        this.#restore();
      },
      nameTaken: () => {
        this.log.error("Another daemon owns the name on the bus already.");
        this.#stop(1);
      },
    });
  }

  #varlinkServer(interfaces: readonly BoundVarlink[]): VarlinkServer {
    return new VarlinkServer({
      product: "systemd-machined",
      version: VERSION,
      interfaces,
      bug: (error, where) => this.#bug(error, where),
      called: collectGarbageSoon,
      debug: (message) => this.log.debug(message),
    });
  }

  #bug(error: unknown, where: string): void {
    this.log.error(`Bug in ${where}: ${(error as Error).stack ?? error}`);
  }

  bus() {
    return this.#systemBus.client;
  }

  /** MACHINED_SERVICE_MANAGER ("systemd" or "own") overrides what is found out. */
  #usesSystemd(): boolean {
    const wanted = process.env["MACHINED_SERVICE_MANAGER"];
    if (wanted === "systemd" || wanted === "own") return wanted === "systemd";
    return !PATHS.isPrivate && existsSync("/run/systemd/system");
  }

  #unitEvents() {
    return {
      unitChanged: (unit: string) => this.registry.unitChanged(unit),
      reloaded: () => this.registry.unitChanged(null),
    };
  }

  async #choosePolicy(): Promise<void> {
    const wanted = process.env["MACHINED_REGISTER_POLICY"];
    if (wanted === "root" || wanted === "polkit") this.registerPolicy = wanted;
    else if (((await this.#systemd?.version()) ?? 0) >= OPEN_REGISTRATION_VERSION) this.registerPolicy = "polkit";
  }

  #restore(): void {
    if (this.#restored) return;
    this.#restored = true;
    this.registry.restore();
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
      const text = describe(error)?.text ?? (error as Error).stack ?? String(error);
      this.log.error(`Failed to start: ${text}`);
      return 1;
    }
    const code = await stopped;
    notify("STOPPING=1\nSTATUS=Shutting down...");
    await this.operations.cancelAll();
    await this.#systemBus.close();
    this.#privateBus?.close();
    for (const server of this.#varlink) server.close();
    this.#names.close();
    return code;
  }

  async #start(): Promise<void> {
    this.#privateBus = new PrivateBus(PATHS.privateBus, this.#server, this.log);
    if (this.#systemd !== null) await this.#systemBus.connect();
    else await this.#connectWhereThereIsABus();
    this.#restore();
    this.#listen();
    notify("READY=1\nSTATUS=Processing requests...");
    this.images.sweep();
    this.#feedWatchdog();
  }

  /** Sockets that the service manager opened for us come first; what it did not open is opened here. */
  #listen(): void {
    const [machine, userDatabase, resolveHook] = this.#varlink;
    const inherited = listenFds().filter(({ name }) => name === "varlink");
    for (const { fd } of inherited) machine?.listen(fd);
    if (inherited.length === 0) {
      this.#open(machine, PATHS.varlink);
      this.#open(machine, PATHS.varlinkImage);
    }
    this.#open(userDatabase, PATHS.userDatabase);
    this.#open(resolveHook, PATHS.resolveHook);
    this.#open(this.#names, PATHS.names);
    adviseUserDatabaseClients(PATHS.userDatabase);
  }

  /** A socket that cannot be opened is a pity, but no reason to leave the machines alone. */
  #open(server: { listen(socket: Fd): void } | undefined, path: string): void {
    try {
      server?.listen(listenAt(path));
    } catch (error) {
      if (errnoNameOf(error) === null) throw error;
      this.log.warning(`Cannot listen on ${path}: ${(error as Error).message}`);
    }
  }

  /** Without systemd the bus is a courtesy: there is the private socket. */
  async #connectWhereThereIsABus(): Promise<void> {
    if (PATHS.isPrivate && process.env["DBUS_SYSTEM_BUS_ADDRESS"] === undefined) return;
    await this.#systemBus.connect().catch((error: Error) => this.log.info(`Serving without a bus: ${error.message}`));
  }

  /** From the main loop, so that a loop that is stuck is seen. */
  #feedWatchdog(): void {
    const interval = watchdogIntervalUsec();
    if (interval === null) return;
    setInterval(() => notify("WATCHDOG=1"), interval / 2000);
  }
}

/** A socket for everyone, in a directory that is made where it is missing. */
function listenAt(path: string): Fd {
  mkdirSync(dirname(path), { recursive: true, mode: 0o755 });
  // A link that a socket unit made outlives its socket.
  if (lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true) unlinkSync(path);
  return listenUnix(path, { mode: 0o666 });
}
