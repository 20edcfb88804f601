// The parts that every daemon's process has: lock, bus, private bus and Varlink servers, readiness, watchdog, idle
// exit, signals and uncaught errors.
import type { BusInterface } from "../api/table.ts";
import { INTERFACE_VERSION } from "../base/vocabulary/version.ts";
import type { ObjectTree } from "../ipc/bus/binding.ts";
import type { BusClient } from "../ipc/bus/client.ts";
import { describeError } from "../ipc/bus/error.ts";
import { BusServer } from "../ipc/bus/server.ts";
import type { BusTarget } from "../ipc/bus/transport.ts";
import type { CallCounts } from "../ipc/call-counts.ts";
import { isPrivileged } from "../ipc/caller.ts";
import { Peers } from "../ipc/peers.ts";
import { type BoundVarlink, VarlinkServer } from "../ipc/varlink/server.ts";
import { notifyReady, notifyStopping } from "../kernel/socket/notify.ts";
import { feedWatchdog } from "../kernel/socket/watchdog.ts";
import { collectGarbageSoon } from "./garbage-collection.ts";
import { requireHostId } from "./host.ts";
import { IdleExit, idleLimitMs } from "./idle-exit.ts";
import { delayFailure, EXIT_SUPERFLUOUS, isSuperfluous, lockInstance } from "./instance-lock.ts";
import { DaemonLog } from "./log.ts";
import { Authority } from "./permission/authority.ts";
import { PrivateBus } from "./private-bus.ts";
import { handleProcessEvents, logUnexpected } from "./process-events.ts";
import { type SignalOf, type SignalValues, signalMessage } from "./signal.ts";
import { openOrWarn } from "./sockets.ts";
import { SystemBus } from "./system-bus.ts";

/** Longer than each part of the shutdown may take, and shorter than systemd's limit of 90 s. */
const END_LIMIT_MS = 45_000;

export interface ShellOptions {
  /** The name of the program, in the log and over Varlink. */
  readonly identifier: string;
  readonly facility: "auth" | "daemon";
  /** The well-known name on the bus. */
  readonly busName: string;
  readonly bus: BusTarget;
  /**
   * Without a bus the start fails (`required`) or continues (`optional`); `none`: the daemon does not connect to a bus.
   */
  readonly busNeed: "required" | "optional" | "none";
  /** How long the start waits for a bus that does not answer; without a limit unless given. */
  readonly busPatienceMs?: number;
  /** The path of the lock file. */
  readonly lock: string;
  /** The path of the private socket. */
  readonly privateBus: string;
  /** Whether the next call would start the daemon again; only then does it exit when idle. */
  readonly isActivatable: boolean;
  /** Counts the calls of all transports. */
  readonly counts?: CallCounts;
}

/** What a daemon serves, and its part in each step of the start and end. */
export interface Served {
  readonly tree: ObjectTree;
  /**
   * Called when the bus is connected and the name is owned, after every reconnection too. Calls wait until it resolves.
   */
  connected(bus: BusClient): Promise<void>;
  /** Restores the state that an earlier process left, and opens sockets; called once, before READY=1. */
  open(): void;
  /** Called once, directly after READY=1: what is there then is not reported as a change. */
  opened(): void;
  /** Returns the amount of work by kind, for the log; where all are 0 and nobody is connected, the daemon is idle. */
  work(): Readonly<Record<string, number>>;
  /** Ends all work and closes the sockets of `open()`; the bus is still connected. */
  stop(): Promise<void>;
}

export class ServiceShell {
  readonly log: DaemonLog;
  readonly peers = new Peers();
  readonly #options: ShellOptions;
  readonly #served: Served;
  readonly #server: BusServer;
  readonly #bus: SystemBus;
  readonly #authority: Authority;
  readonly #varlink: VarlinkServer[] = [];
  readonly #idle: IdleExit;
  readonly #stopped = Promise.withResolvers<number>();
  #privateBus: PrivateBus | null = null;
  #lock: Disposable | null = null;
  #isOpen = false;
  #isEnding = false;

  /** `served` is used only after `run()` was called. */
  constructor(options: ShellOptions, served: Served) {
    process.umask(0o022);
    this.#options = options;
    this.#served = served;
    this.log = new DaemonLog(options.identifier, options.facility);
    this.#server = new BusServer({
      tree: { find: (path, call) => served.tree.find(path, call) },
      machineId: requireHostId,
      isPrivileged,
      bug: (error, where) => logUnexpected(this.log, error, where),
      called: () => this.#called(),
      counts: options.counts,
    });
    this.#authority = new Authority(options.bus);
    this.#bus = new SystemBus(options.busName, options.bus, this.#server, this.peers.turns, this.log, {
      connected: async (bus) => {
        await served.connected(bus);
        this.#open();
      },
    });
    this.#idle = new IdleExit({
      afterMs: idleLimitMs(options.isActivatable),
      isIdle: () => this.#connections === 0 && Object.values(served.work()).every((count) => count === 0),
      expired: () => {
        this.log.debug("Nothing to do, exiting.");
        this.stop(0);
      },
      stays: () => {
        const work = Object.entries({ ...served.work(), connections: this.#connections });
        this.log.debug(`Not exiting: ${work.map(([kind, count]) => `${count} ${kind}`).join(", ")}.`);
      },
    });
  }

  /** The connection to the bus, or null while there is none. */
  get bus(): BusClient | null {
    return this.#bus.client;
  }

  /** polkit, or null while there is no bus. */
  get authority(): Authority | null {
    return this.bus === null ? null : this.#authority;
  }

  /** Returns a new Varlink server, which is closed when the daemon ends. */
  varlinkServer(interfaces: readonly BoundVarlink[]): VarlinkServer {
    const server = new VarlinkServer({
      product: this.#options.identifier,
      version: INTERFACE_VERSION,
      interfaces,
      peers: this.peers,
      bug: (error, where) => logUnexpected(this.log, error, where),
      called: () => this.#called(),
      counts: this.#options.counts,
      debug: (message) => this.log.debug(message),
    });
    this.#varlink.push(server);
    return server;
  }

  /** Sends a signal on the bus, and to every peer of the private bus. */
  emit<Table extends BusInterface, Member extends SignalOf<Table>>(
    path: string,
    table: Table,
    member: Member,
    values: SignalValues<Table, Member>,
  ): void {
    const signal = signalMessage(path, table, member, values);
    this.#bus.send(signal);
    this.#privateBus?.broadcast(signal);
    // What is announced, such as the end of a thousand machines, was work for which nobody has called.
    collectGarbageSoon();
  }

  /** Restarts the timer of the idle exit. */
  touch(): void {
    this.#idle.touch();
  }

  /** Keeps the daemon running until the returned function is called. */
  hold(): () => void {
    return this.#idle.hold();
  }

  /** Calls `open`, which makes the socket at `path`; logs a failure as a warning. */
  orWarn(path: string, open: (path: string) => void): void {
    openOrWarn(this.log, path, open);
  }

  /** Serves until SIGTERM, SIGINT, `stop()` or idle exit; returns the exit code. */
  async run(): Promise<number> {
    handleProcessEvents(this.log, () => this.stop(0));
    const start = this.#start().catch((error: unknown) => ({ error }));
    // The end does not wait for the start: a bus or service manager that has ended before never answers.
    const first = await Promise.race([start, this.#stopped.promise]);
    if (typeof first === "object") return this.#failToStart(first.error);
    const code = await this.#stopped.promise;
    await this.#end();
    return code;
  }

  /** Ends `run()` with this exit code. */
  stop(code: number): void {
    this.#stopped.resolve(code);
  }

  get #connections(): number {
    return this.#varlink.reduce((sum, server) => sum + server.connections, this.#privateBus?.peers ?? 0);
  }

  #called(): void {
    collectGarbageSoon();
    this.touch();
  }

  /**
   * Takes the lock and the name on the bus before anything else: a second daemon ends here without having changed
   * anything.
   */
  async #start(): Promise<void> {
    const { busPatienceMs } = this.#options;
    this.#lock = await lockInstance(this.#options.lock, this.log);
    const connecting = this.#connect();
    await (busPatienceMs === undefined ? connecting : Promise.race([connecting, Bun.sleep(busPatienceMs)]));
    // A bus that answers after the wait may still report that the name is taken.
    connecting.catch((error: Error) => {
      this.log.error(error.message);
      this.stop(exitCodeOf(error));
    });
    this.#open();
    if (!this.#isOpen) return;
    this.#served.opened();
    feedWatchdog();
    this.touch();
    collectGarbageSoon();
  }

  async #connect(): Promise<void> {
    const { busNeed } = this.#options;
    if (busNeed === "none") return;
    try {
      await this.#bus.connect();
    } catch (error) {
      if (isSuperfluous(error) || busNeed === "required") throw error;
      this.log.info(`Serving without a bus: ${(error as Error).message}`);
    }
  }

  /** Opens the sockets and sends READY=1, once; before calls on the bus are answered. */
  #open(): void {
    if (this.#isOpen || this.#isEnding) return;
    this.#isOpen = true;
    this.#served.open();
    this.orWarn(this.#options.privateBus, (path) => {
      this.#privateBus = new PrivateBus(path, this.#server, this.peers, this.log);
    });
    notifyReady("Processing requests...");
  }

  async #failToStart(error: unknown): Promise<number> {
    this.#lock?.[Symbol.dispose]();
    const text = describeError(error)?.text ?? (error as Error).stack ?? String(error);
    this.log.error(isSuperfluous(error) ? (error as Error).message : `Failed to start: ${text}`);
    await this.#bus.close();
    await delayFailure();
    return exitCodeOf(error);
  }

  /** Ends all work; stops waiting for it after END_LIMIT_MS, before the service manager would kill this process. */
  async #stopServing(): Promise<void> {
    const late = Bun.sleep(END_LIMIT_MS).then(() => this.log.warning("Exiting, although some work has not ended."));
    await Promise.race([this.#served.stop(), late]);
  }

  /** Sends STOPPING=1 first: the service manager then starts a new daemon for calls that arrive from now on. */
  async #end(): Promise<void> {
    this.#isEnding = true;
    this.#idle.stop();
    notifyStopping("Shutting down...");
    if (this.#isOpen) await this.#stopServing();
    this.#authority.close();
    this.#privateBus?.close();
    for (const server of this.#varlink) server.close();
    // The next daemon may start as soon as the name is free.
    this.#lock?.[Symbol.dispose]();
    await this.#bus.close();
  }
}

function exitCodeOf(error: unknown): number {
  return isSuperfluous(error) ? EXIT_SUPERFLUOUS : 1;
}
