// One run of a client: its settings, its output, and its connections, which are made when they are first needed.
//
// The machine manager is called over the bus, or over its private D-Bus socket on hosts without a bus; both have the
// same interface. Verbs use its Varlink socket where that is much faster, or has calls that D-Bus lacks.

import type { Manager } from "../../api/machine1.ts";
import type { ServiceManager } from "../../api/systemd1.ts";
import { errnoNameOf } from "../../base/error.ts";
import type { Variant } from "../../base/variant.ts";
import { SYSTEMD1_NAME, SYSTEMD1_PATH } from "../../base/vocabulary/bus-peers.ts";
import type { BusCall } from "../../ipc/bus/connection.ts";
import type { BusTarget } from "../../ipc/bus/transport.ts";
import type { CallArguments, CallResult, Member } from "../../ipc/bus/typed-call.ts";
import { readTerminal, type Terminal } from "../format/terminal.ts";
import { adviceOn, busName, hintOn, MANAGER_NAME } from "./bus-words.ts";
import { Failure, failed, isBusFailure } from "./failure.ts";
import { Output } from "./output.ts";
import { Patience } from "./patience.ts";
import type { Bus, BusUse, Ports, Varlink } from "./ports.ts";
import { Report } from "./report.ts";
import type { Settings } from "./settings.ts";
import { busTarget, managerDirectory, meansLocalSockets } from "./target.ts";

const MANAGER = { destination: "org.freedesktop.machine1", path: "/org/freedesktop/machine1" } as const;

/** Errors of connect(2) that mean that no message bus runs. */
const NO_BUS = ["ENOENT", "ECONNREFUSED", "ENOTDIR"];
const NO_SUCH_SERVICE = ["org.freedesktop.DBus.Error.ServiceUnknown", "org.freedesktop.DBus.Error.NameHasNoOwner"];

type ConnectionPorts = Pick<Ports, "connectBus" | "connectVarlink" | "connectPlainVarlink">;

/** The ports that verbs may use directly. Only the session makes connections, because it limits the waiting time. */
type SessionPorts = Omit<Ports, keyof ConnectionPorts>;

/** Options of a call to the manager. */
type CallOptions = Pick<BusCall, "timeoutMs">;

/** A call in which the session sets the flag that allows polkit to ask the user. */
type PeerCall = Omit<BusCall, "interactive">;

/** What a verb works with: settings, terminal, output, messages, and calls to the daemons. */
export class Session {
  readonly settings: Settings;
  readonly ports: SessionPorts;
  readonly terminal: Terminal;
  readonly output: Output;
  readonly report: Report;
  readonly #connections: ConnectionPorts;
  readonly #patience: Patience;
  /** The connection for calls to the machine manager: the bus, or the manager's private socket. */
  #manager: Promise<Bus> | null = null;
  #bus: Promise<Bus> | null = null;
  readonly #opened: { close(): void }[] = [];

  constructor(settings: Settings, ports: Ports) {
    this.settings = settings;
    this.ports = ports;
    this.#connections = ports;
    const ttys = { stdout: ports.isTty(1), stderr: ports.isTty(2), columns: (fd: 1 | 2) => ports.ttyColumns(fd) };
    this.terminal = readTerminal(ports.env, ttys);
    this.output = new Output(ports.writeSome, ports.writeBrief);
    this.report = new Report(this.output, this.terminal, ports.env);
    this.#patience = new Patience((line) => this.report.info(line));
  }

  /**
   * Calls a method of the manager object. Its interface table is imported with the first call. Throws error replies.
   */
  async manager<Name extends Member<typeof Manager>>(
    member: Name,
    args: CallArguments<typeof Manager, Name>,
    options: CallOptions = {},
  ): Promise<CallResult<typeof Manager, Name>> {
    const [{ Manager: table }, { callTyped }] = await Promise.all([
      import("../../api/machine1.ts"),
      import("../../ipc/bus/typed-call.ts"),
    ]);
    return callTyped((call) => this.callManager(call), { ...MANAGER, ...options }, table, member, args);
  }

  /** Returns all properties of an object of the manager, in the order of the reply. */
  async properties(path: string): Promise<ReadonlyMap<string, Variant>> {
    const [{ Properties }, { callTyped }] = await this.#propertyCalls();
    const where = { destination: MANAGER.destination, path };
    const call = (request: PeerCall) => this.callManager(request);
    return (await callTyped(call, where, Properties, "GetAll", { interface_name: "" })).props;
  }

  /** Calls a method of the service manager (org.freedesktop.systemd1) over the message bus. */
  async serviceManager<Name extends Member<typeof ServiceManager>>(
    member: Name,
    args: CallArguments<typeof ServiceManager, Name>,
  ): Promise<CallResult<typeof ServiceManager, Name>> {
    const [{ ServiceManager: table }, { callTyped }] = await Promise.all([
      import("../../api/systemd1.ts"),
      import("../../ipc/bus/typed-call.ts"),
    ]);
    return callTyped(
      (call) => this.callBus(call),
      { destination: SYSTEMD1_NAME, path: SYSTEMD1_PATH },
      table,
      member,
      args,
    );
  }

  /** Returns a property of an object of the service manager. */
  async unitProperty(path: string, interface_name: string, property_name: string): Promise<unknown> {
    const [{ Properties }, { callTyped }] = await this.#propertyCalls();
    const args = { interface_name, property_name };
    const where = { destination: SYSTEMD1_NAME, path };
    return (await callTyped((call) => this.callBus(call), where, Properties, "Get", args)).value.value;
  }

  #propertyCalls() {
    return Promise.all([import("../../api/peers.ts"), import("../../ipc/bus/typed-call.ts")]);
  }

  /**
   * Calls any object of the machine manager: over the bus, or over the private socket if the manager is not on the bus.
   */
  async callManager(call: PeerCall): Promise<unknown[]> {
    this.#manager ??= this.#openManager("calls");
    const connection = await this.#manager;
    try {
      return await connection.call(this.#authorized(call));
    } catch (error) {
      if (!isBusFailure(error, ...NO_SUCH_SERVICE)) throw error;
      const peer = await this.#openPrivate("calls");
      if (peer === null) throw error;
      this.#manager = Promise.resolve(peer);
      return await peer.call(this.#authorized(call));
    }
  }

  /**
   * Returns the connection that is used for calls to the machine manager. `use` is for the first call: a later one for
   * more makes another connection to the same bus.
   */
  managerConnection(use: BusUse = "calls"): Promise<Bus> {
    this.#manager ??= this.#openManager(use);
    return this.#manager;
  }

  /** Returns the connection to the message bus, for peers other than the machine manager; `use` as above. */
  bus(use: BusUse = "calls"): Promise<Bus> {
    this.#bus ??= this.#openBus(use);
    return this.#bus;
  }

  /** Calls a peer on the message bus. */
  async callBus(call: PeerCall): Promise<unknown[]> {
    return (await this.bus()).call(this.#authorized(call));
  }

  /**
   * Connects to the manager's Varlink socket, for calls without descriptors. Returns null if it cannot be reached, or
   * if the settings name a manager elsewhere (-H, -M, another bus).
   */
  async varlink(): Promise<Varlink | null> {
    const directory = managerDirectory(this.settings.scope, this.ports.env);
    if (directory === null || !meansLocalSockets(this.settings, this.ports.env)) return null;
    try {
      const path = `${directory}/io.systemd.Machine`;
      return await this.#keepVarlink(MANAGER_NAME, () => this.#connections.connectPlainVarlink(path));
    } catch {
      return null;
    }
  }

  /** Connects to a Varlink socket for calls that pass descriptors; `whom` names the service in messages. */
  connectVarlink(path: string, whom: string): Promise<Varlink> {
    return this.#keepVarlink(whom, () => this.#connections.connectVarlink(path));
  }

  /**
   * As connectVarlink(), for calls that may take long, such as those in which the user is asked for a password: they
   * fail only if the service does not answer over a second connection either.
   */
  connectSlowVarlink(path: string, whom: string): Promise<Varlink> {
    const ping = async () => {
      const other = await this.#connections.connectPlainVarlink(path);
      try {
        await other.call("org.varlink.service.GetInfo");
      } finally {
        other.close();
      }
    };
    return this.#keepVarlink(whom, () => this.#connections.connectVarlink(path), ping);
  }

  /** Runs `work`, which waits for a reply of the service `whom`, with the time limit that calls of this class have. */
  inTime<T>(whom: string, work: () => Promise<T>): Promise<T> {
    return this.#patience.ask(whom, work);
  }

  /**
   * Connects to a bus or peer. A connection through ssh or systemd-run has no time limit, because these programs may
   * ask the user for a password first.
   */
  async connectBus(target: BusTarget, use: BusUse = "calls"): Promise<Bus> {
    const open = () => this.#connections.connectBus(target, use);
    const isBridge = target.kind === "ssh" || target.kind === "login";
    const bus = isBridge ? await open() : await this.#patience.connect(busName(target), open);
    return this.#patience.bus(this.keep(bus));
  }

  async #keepVarlink(whom: string, open: () => Promise<Varlink>, probe?: () => Promise<void>): Promise<Varlink> {
    return this.#patience.varlink(this.keep(await this.#patience.connect(whom, open)), whom, probe);
  }

  /** Pipes the output through a pager, from its first line on, if stdout is a terminal and the settings allow it. */
  async openPager(): Promise<void> {
    if (!this.settings.pager || this.terminal.isDumb || this.output.hasPager) return;
    const { choosePager } = await import("./pager.ts");
    const pager = await choosePager(this.ports, this.terminal);
    if (pager !== null) this.output.usePager(pager);
  }

  /** Holds the output of a short command back until it is complete (Output.hold()), unless stdout is a terminal. */
  holdOutput(): void {
    if (!this.terminal.stdoutIsTty) this.output.hold();
  }

  /** Whether a connection was made. */
  get isConnected(): boolean {
    return this.#opened.length > 0;
  }

  /** Registers something that close() closes; returns it. */
  keep<T extends { close(): void }>(thing: T): T {
    this.#opened.push(thing);
    return thing;
  }

  /** Closes everything that was registered, and waits until the user quits the pager. */
  async close(): Promise<void> {
    for (const connection of this.#opened) connection.close();
    await this.output.close();
  }

  #authorized(call: PeerCall): BusCall {
    return { ...call, interactive: this.settings.askPassword };
  }

  /**
   * Connects to the bus, or to the private socket: if $MACHINED_RUNTIME_DIRECTORY names the manager, or if no bus runs.
   */
  async #openManager(use: BusUse): Promise<Bus> {
    if (this.ports.env["MACHINED_RUNTIME_DIRECTORY"]) {
      const peer = await this.#openPrivate(use);
      if (peer !== null) return peer;
    }
    try {
      return await this.bus(use);
    } catch (error) {
      const cause = error instanceof Error ? error.cause : undefined;
      const peer = NO_BUS.includes(errnoNameOf(cause) ?? "") ? await this.#openPrivate(use) : null;
      if (peer === null) throw error;
      return peer;
    }
  }

  /**
   * Connects to the manager's private D-Bus socket; returns null if that is not possible or another manager is meant.
   */
  async #openPrivate(use: BusUse): Promise<Bus | null> {
    const { scope } = this.settings;
    const directory = scope === "system" ? managerDirectory(scope, this.ports.env) : null;
    if (directory === null || !meansLocalSockets(this.settings, this.ports.env)) return null;
    try {
      return await this.connectBus({ kind: "private", path: `${directory}/private` }, use);
    } catch {
      return null;
    }
  }

  async #openBus(use: BusUse): Promise<Bus> {
    const { scope, transport } = this.settings;
    let target: BusTarget | null = null;
    try {
      target = await busTarget(this.settings, () => this.ports.account());
      return await this.connectBus(target, use);
    } catch (error) {
      if (this.#patience.isOver) throw error;
      const attempt = `Failed to connect to ${scope} scope bus via ${transport.kind} transport`;
      const advice = target === null ? null : adviceOn(target, error);
      if (advice !== null) throw new Failure(`${attempt}: ${advice}`, { cause: error });
      throw failed(attempt, error, hintOn(target, error));
    }
  }
}
