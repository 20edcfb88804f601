// Method calls → handlers: the object layer of D-Bus, in the order of checks and with the error texts of sd-bus.
//   object → interface and member → privilege → signature → handler → reply
// Peer, Introspectable and Properties are answered here for every object.

import type { Access } from "../../api/access.ts";
import type { BusInterface, BusMethod, BusProperty, Getters, Handlers } from "../../api/table.ts";
import { errnoText } from "../../base/errno.ts";
import { busErrorOfErrno, ERRORS, errnoNameOf, MachinedError } from "../../base/error.ts";
import { Variant } from "../../base/variant.ts";
import type { CallCounts } from "../call-counts.ts";
import type { Caller } from "../caller.ts";
import { introspect } from "../render.ts";
import { BusError } from "./error.ts";
import { FLAG_INTERACTIVE, FLAG_NO_REPLY, MESSAGE_TYPE, type Outgoing } from "./message.ts";
import type { Incoming } from "./stream.ts";

/** One call, as its handler sees it. */
export interface BusCallContext<Subject = unknown> {
  readonly transport: "bus";
  /** Who may call the method, as its row says. */
  readonly access: Access;
  readonly path: string;
  /** The caller allows interactive authorization (a password prompt). */
  readonly interactive: boolean;
  /** The subject of the path; it must be read again after an await. */
  readonly subject: Subject;
  caller(): Promise<Caller>;
  /** Calls back when the caller disconnects; returns a function that cancels this. */
  onGone(handler: () => void): () => void;
}

type AnyHandler = (call: BusCallContext<never>, args: never) => unknown;

interface BoundMethod {
  readonly row: BusMethod;
  readonly inSignature: string;
  readonly inNames: readonly string[];
  readonly outSignature: string;
  readonly outNames: readonly string[];
  readonly handler: AnyHandler;
}

/** An interface with its handlers, ready to be called. */
export interface BoundInterface {
  readonly table: BusInterface;
  readonly methods: ReadonlyMap<string, BoundMethod>;
  readonly getters: Readonly<Record<string, (subject: never) => unknown>>;
  readonly setters: Readonly<Record<string, (value: never) => void>>;
}

/** Binds handlers to a table. Every row needs its handler: a missing one does not compile. */
export function bindInterface<const Table extends BusInterface, Subject>(
  table: Table,
  handlers: Handlers<Table, BusCallContext<Subject>>,
  getters: Getters<Table, Subject>,
  setters: Readonly<Record<string, (value: never) => void>> = {},
): BoundInterface {
  const methods = new Map<string, BoundMethod>();
  for (const [member, row] of Object.entries(table.methods)) {
    methods.set(member, {
      row,
      inSignature: Object.values(row.in).join(""),
      inNames: Object.keys(row.in),
      outSignature: Object.values(row.out).join(""),
      outNames: Object.keys(row.out),
      handler: (handlers as Record<string, AnyHandler>)[member] as AnyHandler,
    });
  }
  return { table, methods, getters: getters as BoundInterface["getters"], setters };
}

export interface BusObject {
  readonly interfaces: readonly BoundInterface[];
  readonly subject: unknown;
  /** Names of the objects right below this one. */
  children(): readonly string[];
}

/** The objects of a service. `find` may have to ask who calls (`…/machine/self`). */
export interface ObjectTree {
  find(path: string, call: BusCallContext): BusObject | null | Promise<BusObject | null>;
}

interface ServerOptions {
  readonly tree: ObjectTree;
  /** The host's machine id as 32 hex digits, for Peer.GetMachineId; throws where there is none. */
  machineId(): string;
  /** Users who may call privileged methods and set properties. */
  isPrivileged(caller: Caller): boolean;
  /** Reports a bug of this program, whose details no caller gets. */
  bug(error: unknown, where: string): void;
  /** Called for each call that is received. */
  called?(): void;
  /** Counts calls of known methods. */
  readonly counts?: CallCounts | undefined;
}

/** The connection of a call, to which its reply is sent. */
export interface Origin {
  caller(): Promise<Caller>;
  onGone(handler: () => void): () => void;
  send(message: Omit<Outgoing, "serial">): void;
}

/** How many descriptors a call may have, as with dbus-daemon. */
export const CALL_DESCRIPTOR_LIMIT = 16;

const PROPERTIES = "org.freedesktop.DBus.Properties";
const PROPERTY_METHODS = new Set(["Get", "GetAll", "Set"]);
const INTROSPECTABLE = "org.freedesktop.DBus.Introspectable";
const PEER = "org.freedesktop.DBus.Peer";
const DBUS = "org.freedesktop.DBus.Error";

interface Answer {
  readonly signature: string;
  readonly values: readonly unknown[];
}

const EMPTY: Answer = { signature: "", values: [] };

export class BusServer {
  readonly #options: ServerOptions;

  constructor(options: ServerOptions) {
    this.#options = options;
  }

  /**
   * Answers a method call, at once (null), or when the promise that it returns is fulfilled. Never throws; the message's
   * descriptors are closed when it has been answered, and at once where its values cannot hold any.
   */
  dispatch(message: Incoming, origin: Origin): Promise<void> | null {
    this.#options.called?.();
    if (!/[hv]/.test(message.signature)) closeAll(message.descriptors);
    let answer: Answer | Promise<Answer>;
    try {
      answer = this.#answer(message, origin);
    } catch (error) {
      this.#fail(message, origin, error);
      return null;
    }
    if (answer instanceof Promise) {
      return answer.then(
        (value) => this.#reply(message, origin, value),
        (error) => this.#fail(message, origin, error),
      );
    }
    this.#reply(message, origin, answer);
    return null;
  }

  /** Refuses a call without decoding it: its sender has too many unanswered calls. */
  refuse(message: Incoming, origin: Origin, text: string): void {
    this.#fail(message, origin, new BusError(`${DBUS}.LimitsExceeded`, text));
  }

  #answer(message: Incoming, origin: Origin): Answer | Promise<Answer> {
    if (message.interface === PEER) return this.#peer(message);
    const args = () => decode(message);
    const call = new Call(message, origin);
    const object = this.#options.tree.find(message.path ?? "", call);
    if (object instanceof Promise) return object.then((found) => this.#onObject(message, call, found, args));
    return this.#onObject(message, call, object, args);
  }

  #onObject(message: Incoming, call: Call, object: BusObject | null, args: Arguments): Answer | Promise<Answer> {
    if (object === null) throw new BusError(`${DBUS}.UnknownObject`, `Unknown object '${message.path}'.`);
    if (message.interface === PROPERTIES) {
      const read = () => this.#properties(message, call, object, args);
      return this.#counted(PROPERTIES, PROPERTY_METHODS.has(message.member ?? "") ? message.member : undefined, read);
    }
    if (message.interface === INTROSPECTABLE && message.member === "Introspect") {
      if (message.signature !== "") throw new BusError(`${DBUS}.InvalidArgs`, "Expected no parameters");
      return { signature: "s", values: [introspect(object.interfaces, object.children())] };
    }
    call.subject = object.subject;
    return this.#method(message, call, object, args);
  }

  #method(message: Incoming, call: Call, object: BusObject, args: Arguments): Answer | Promise<Answer> {
    const found = findMethod(object, message);
    if (found === null) throw unknownMethod(message);
    const [iface, method] = found;
    const name = `${iface.table.name}.${message.member}()`;
    const { access } = method.row;
    call.access = access;
    const invoke = () => this.#invoke(message, call, name, method, args);
    return this.#counted(iface.table.name, message.member, () =>
      access === "privileged" ? this.#requirePrivilege(call, name).then(invoke) : invoke(),
    );
  }

  /** Without a member it is a call of an unknown method. */
  #counted<Result>(iface: string, member: string | undefined, handle: () => Result): Result {
    const { counts } = this.#options;
    return counts === undefined || member === undefined ? handle() : counts.measure(iface, member, handle);
  }

  async #requirePrivilege(call: BusCallContext, name: string): Promise<void> {
    if (!this.#options.isPrivileged(await call.caller())) {
      throw new BusError(`${DBUS}.AccessDenied`, `Access to ${name} not permitted.`);
    }
  }

  #invoke(
    message: Incoming,
    call: BusCallContext,
    name: string,
    method: BoundMethod,
    args: Arguments,
  ): Answer | Promise<Answer> {
    if (message.signature !== method.inSignature) {
      throw new BusError(
        `${DBUS}.InvalidArgs`,
        `Invalid arguments '${message.signature}' to call ${name}, expecting '${method.inSignature}'.`,
      );
    }
    const values = args();
    const named: Record<string, unknown> = {};
    for (let i = 0; i < method.inNames.length; i++) named[method.inNames[i] as string] = values[i];
    const result = method.handler(call as never, named as never);
    if (result instanceof Promise) return result.then((value) => answerOf(method, value));
    return answerOf(method, result);
  }

  #peer(message: Incoming): Answer {
    if (message.member === "Ping" && message.signature === "") return EMPTY;
    if (message.member === "GetMachineId" && message.signature === "") {
      return { signature: "s", values: [this.#options.machineId()] };
    }
    throw unknownMethod(message);
  }

  #properties(message: Incoming, call: BusCallContext, object: BusObject, args: Arguments): Answer | Promise<Answer> {
    const { member, signature } = message;
    if (member === "Get") {
      if (signature !== "ss") throw wrongArguments("Expected interface and member parameters");
      const [iface, name] = args() as [string, string];
      return { signature: "v", values: [getProperty(object, iface, name)] };
    }
    if (member === "GetAll") {
      if (signature !== "s") throw wrongArguments("Expected interface parameter");
      return { signature: "a{sv}", values: [getAll(object, args()[0] as string)] };
    }
    if (member === "Set") {
      if (signature !== "ssv") throw wrongArguments("Expected interface, member and value parameters");
      const [iface, name, value] = args() as [string, string, Variant];
      return this.#set(call, object, iface, name, value);
    }
    throw unknownMethod(message);
  }

  async #set(call: BusCallContext, object: BusObject, iface: string, name: string, value: Variant): Promise<Answer> {
    const [bound, row] = findProperty(object, iface, name);
    if (row.writable !== true) throw new BusError(`${DBUS}.PropertyReadOnly`, `Property '${name}' is not writable.`);
    await this.#requirePrivilege(call, `${iface}.${name}`);
    if (value.signature !== row.type) {
      throw wrongArguments(
        `Incorrect parameters for property '${name}', expected '${row.type}', got '${value.signature}'.`,
      );
    }
    bound.setters[name]?.(value.value as never);
    return EMPTY;
  }

  #reply(message: Incoming, origin: Origin, answer: Answer): void {
    try {
      if ((message.flags & FLAG_NO_REPLY) === 0) {
        origin.send({
          type: MESSAGE_TYPE.reply,
          replySerial: message.serial,
          destination: message.sender,
          signature: answer.signature,
          body: answer.values,
        });
      }
    } catch (error) {
      this.#fail(message, origin, error);
      return;
    } finally {
      closeAll(answer.values);
    }
    closeAll(message.descriptors);
  }

  #fail(message: Incoming, origin: Origin, error: unknown): void {
    const known = describe(error);
    if (known === null) this.#options.bug(error, `${message.interface}.${message.member}()`);
    const { name, text } = known ?? { name: `${DBUS}.Failed`, text: "Internal error, see the log of the service" };
    closeAll(message.descriptors);
    if ((message.flags & FLAG_NO_REPLY) !== 0) return;
    origin.send({
      type: MESSAGE_TYPE.error,
      replySerial: message.serial,
      destination: message.sender,
      errorName: name,
      signature: "s",
      body: [text],
    });
  }
}

type Arguments = () => unknown[];

function decode(message: Incoming): unknown[] {
  try {
    return message.values();
  } catch (error) {
    const text = (error as Error).message;
    throw new BusError(`${DBUS}.InconsistentMessage`, `Cannot read the arguments: ${text}`);
  }
}

class Call implements BusCallContext {
  readonly transport = "bus";
  readonly path: string;
  readonly interactive: boolean;
  /** Set with the method; until that is found, nothing is permitted. */
  access: Access = "privileged";
  subject: unknown = undefined;
  readonly #origin: Origin;

  constructor(message: Incoming, origin: Origin) {
    this.path = message.path ?? "";
    this.interactive = (message.flags & FLAG_INTERACTIVE) !== 0;
    this.#origin = origin;
  }

  caller(): Promise<Caller> {
    return this.#origin.caller();
  }

  onGone(handler: () => void): () => void {
    return this.#origin.onGone(handler);
  }
}

function closeAll(values: readonly unknown[]): void {
  for (const value of values) {
    if (typeof value === "object" && value !== null && Symbol.dispose in value) (value as Disposable)[Symbol.dispose]();
  }
}

/** A call without an interface goes to the first one that has the member (D-Bus specification, "Message Types"). */
function findMethod(object: BusObject, message: Incoming): [BoundInterface, BoundMethod] | null {
  for (const iface of object.interfaces) {
    if (message.interface !== undefined && iface.table.name !== message.interface) continue;
    const method = iface.methods.get(message.member ?? "");
    if (method !== undefined) return [iface, method];
  }
  return null;
}

function answerOf(method: BoundMethod, result: unknown): Answer {
  const record = result as Record<string, unknown>;
  return { signature: method.outSignature, values: method.outNames.map((name) => record[name]) };
}

function findProperty(object: BusObject, iface: string, name: string): [BoundInterface, BusProperty] {
  const bound = object.interfaces.find((candidate) => candidate.table.name === iface);
  const row = bound !== undefined && Object.hasOwn(bound.table.properties, name) && bound.table.properties[name];
  if (bound === undefined || !row) {
    throw new BusError(`${DBUS}.UnknownProperty`, `Unknown interface ${iface} or property ${name}.`);
  }
  return [bound, row];
}

function getProperty(object: BusObject, iface: string, name: string): Variant {
  const [bound, row] = findProperty(object, iface, name);
  return new Variant(row.type, bound.getters[name]?.(object.subject as never));
}

function getAll(object: BusObject, iface: string): Map<string, Variant> {
  const bound = object.interfaces.filter((candidate) => iface === "" || candidate.table.name === iface);
  if (bound.length === 0 && iface !== "" && !STANDARD.has(iface)) {
    throw new BusError(`${DBUS}.UnknownInterface`, `Unknown interface '${iface}'.`);
  }
  const all = new Map<string, Variant>();
  for (const { table, getters } of bound) {
    for (const [name, row] of Object.entries(table.properties)) {
      if (row.hidden !== true) all.set(name, new Variant(row.type, getters[name]?.(object.subject as never)));
    }
  }
  return all;
}

const STANDARD = new Set([PEER, PROPERTIES, INTROSPECTABLE]);

function unknownMethod(message: Incoming): BusError {
  const text = `Unknown method ${message.member} or interface ${message.interface ?? "(null)"}.`;
  return new BusError(`${DBUS}.UnknownMethod`, text);
}

function wrongArguments(text: string): BusError {
  return new BusError(`${DBUS}.InvalidArgs`, text);
}

/** Returns name and text of an error for the caller; null for a bug, whose details the caller does not get. */
export function describe(error: unknown): { name: string; text: string } | null {
  if (error instanceof MachinedError) return { name: ERRORS[error.code].bus, text: error.message };
  if (error instanceof BusError) return { name: error.errorName, text: error.message };
  const errno = errnoNameOf(error);
  if (errno === null) return null;
  const own = (error as Error).name === "ErrnoError";
  return { name: busErrorOfErrno(errno), text: own ? (error as Error).message : errnoText(errno) };
}
