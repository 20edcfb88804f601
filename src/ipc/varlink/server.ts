// A Varlink service on listening sockets. The calls of one connection are answered in order, one at a time. A peer that
// violates the protocol is disconnected without a reply (https://varlink.org/Method-Call, sd-varlink(3)).

import { IoSystemd, OrgVarlinkService } from "../../api/io-systemd-service.ts";
import type { VarlinkInterface, VarlinkMethod } from "../../api/varlink-table.ts";
import { errnoNumber } from "../../base/errno.ts";
import { ERRORS, ErrnoError, errnoNameOf, MachinedError } from "../../base/error.ts";
import { formatJson, type JsonObject, parseJson } from "../../base/json.ts";
import { Prepared } from "../../base/prepared.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { Acceptor } from "../../kernel/socket/acceptor.ts";
import { SocketStream, type StreamHandlers } from "../../kernel/socket/stream.ts";
import { refuseDescriptors } from "../../kernel/socket/unix.ts";
import { BusError } from "../bus/error.ts";
import type { CallCounts } from "../call-counts.ts";
import { type Caller, callerOnSocket, isPrivileged } from "../caller.ts";
import { GoneHandlers } from "../gone-handlers.ts";
import type { PeerPlace, Peers } from "../peers.ts";
import {
  type AnyVarlinkHandler,
  type BoundVarlink,
  bindVarlink,
  type CallDescriptors,
  Reply,
  type VarlinkCall,
} from "./binding.ts";
import { checkFields, describeInterface, invalidParameter } from "./schema.ts";
import { encodeMessages, type VarlinkMessage, VarlinkStream, type VarlinkStreamHandlers } from "./stream.ts";

export type { BoundVarlink, VarlinkCall } from "./binding.ts";

interface VarlinkServerOptions {
  readonly product: string;
  readonly version: string;
  readonly interfaces: readonly BoundVarlink[];
  /** The connections of all sockets of the daemon, counted by user. */
  readonly peers: Peers;
  /** Reports an error that is a bug of this program; the caller receives EIO only. */
  bug(error: unknown, where: string): void;
  debug(message: string): void;
  /** Called for each call that is received. */
  called?(): void;
  /** Counts calls of known methods. */
  readonly counts?: CallCounts | undefined;
}

/** The size limit of messages of users other than root: parsing blocks all other callers, and no real call is as large. */
const OTHERS_MESSAGE_LIMIT_BYTES = 128 << 10;

/** How many bytes of a peer are handled before its user's time is checked again. */
const FEED_LENGTH = 16 << 10;

export class VarlinkServer {
  readonly options: VarlinkServerOptions;
  readonly #acceptors: Acceptor[] = [];
  readonly #connections = new Set<Connection>();

  constructor(options: VarlinkServerOptions) {
    this.options = options;
  }

  /** Accepts peers on the socket, and owns it. */
  listen(listener: Fd): void {
    if (!takesDescriptors(this.options.interfaces)) refuseDescriptors(listener);
    this.#acceptors.push(
      new Acceptor(listener, {
        welcome: (socket, isShort) => this.#welcome(socket, isShort),
        failed: (error) => this.options.debug(`Cannot accept Varlink connections for now: ${error.message}`),
      }),
    );
  }

  /** The number of open connections. */
  get connections(): number {
    return this.#connections.size;
  }

  close(): void {
    for (const acceptor of this.#acceptors) acceptor.close();
    for (const connection of [...this.#connections]) connection.close();
  }

  #welcome(socket: Fd, isShort: boolean): void {
    const caller = callerOnSocket(socket);
    // The PID of a peer in a foreign PID namespace is 0 here: it cannot be identified.
    const place = caller.pid <= 0 ? null : this.options.peers.admit(caller, (reason) => connection.close(reason));
    if (place === null || (isShort && !place.isPrivileged)) {
      this.options.debug(`Turned away a connection of user ${caller.uid}.`);
      place?.leave();
      socket.close();
      return;
    }
    const connection = new Connection(socket, caller, place, this.options, () => this.#connections.delete(connection));
    this.#connections.add(connection);
  }
}

interface Request {
  readonly method: string;
  readonly parameters: JsonObject;
  readonly duplicates: readonly string[];
  readonly more: boolean;
  readonly oneway: boolean;
}

class Connection {
  readonly #socket: Fd;
  readonly #stream: VarlinkStream;
  readonly #caller: Caller;
  readonly #place: PeerPlace;
  readonly #options: VarlinkServerOptions;
  readonly #gone = new GoneHandlers();
  /** The call that is being answered, or null. */
  #message: VarlinkMessage | null = null;
  /** Whether `#step` is queued or running in the shared queue of all connections. */
  #isQueued = false;
  #peerHasLeft = false;
  /** The source of further replies to the call that is being answered, or null. */
  #feeder: { wake(): void } | null = null;
  #finishing = false;
  /** Descriptors are left in the socket, in front of whatever comes next. */
  #isLast = false;

  constructor(socket: Fd, caller: Caller, place: PeerPlace, options: VarlinkServerOptions, ended: () => void) {
    this.#socket = socket;
    this.#caller = caller;
    this.#place = place;
    this.#options = options;
    const limit = place.isPrivileged ? {} : { messageLimitBytes: OTHERS_MESSAGE_LIMIT_BYTES };
    const open = (handlers: StreamHandlers) => new SocketStream(socket, handlers);
    const handlers: VarlinkStreamHandlers = {
      readable: () => this.#goOn(),
      drain: () => {
        this.#goOn();
        this.#feeder?.wake();
      },
      readEnd: () => {
        this.#finishing = true;
        this.#goOn();
      },
      hangup: () => {
        this.#peerHasLeft = true;
        if (this.#message !== null) this.close();
      },
      end: (error) => {
        if (error !== undefined) options.debug(`A Varlink peer was disconnected: ${error.message}`);
        place.leave();
        ended();
        this.#gone.call();
      },
    };
    this.#stream = new VarlinkStream(open, handlers, limit);
  }

  close(reason?: Error): void {
    this.#stream.close(reason);
  }

  /** Whether the next call may be read: one at a time, and none while the peer does not read earlier replies. */
  #isFree(): boolean {
    return this.#message === null && this.#stream.isOpen && this.#stream.takesMore;
  }

  /** Queues reading of the next call, if it may be read; called after each change of state. */
  #goOn(): void {
    this.#count();
    if (this.#isQueued || !this.#isFree()) return;
    this.#isQueued = true;
    this.#options.peers.turns.run(this.#place.owner, this.#step);
  }

  readonly #step = (): boolean => {
    this.#isQueued = this.#isFree() && this.#takeCall() && this.#isFree();
    return this.#isQueued;
  };

  #count(): void {
    this.#place.hold(this.#stream.heldBytes + (this.#message?.text.length ?? 0));
  }

  /** Reads and answers a call; returns false when none is complete. */
  #takeCall(): boolean {
    const message = this.#stream.next();
    if (message === null) {
      if (this.#finishing && this.#stream.isOpen) this.#stream.finish();
      return false;
    }
    const request = readRequest(message.text);
    if (request === null) {
      this.close(new Error("its message is no call"));
      return false;
    }
    this.#options.called?.();
    this.#message = message;
    this.#isLast = message.left > 0;
    this.#answer(request);
    // A peer that left before its call was read: close only now, after the handler registered with onGone().
    if (this.#message !== null && this.#peerHasLeft) this.close();
    return true;
  }

  #answer(request: Request): void {
    let result: unknown;
    try {
      result = this.#invoke(request);
    } catch (error) {
      this.#fail(request, error);
      return;
    }
    if (!(result instanceof Promise)) this.#reply(request, (result ?? {}) as object);
    else
      result.then(
        (value) => this.#reply(request, (value ?? {}) as object),
        (error) => this.#fail(request, error),
      );
  }

  #invoke(request: Request): unknown {
    const found = findMethod(this.#options, request.method);
    const { counts } = this.#options;
    const handle = () => this.#handle(request, found);
    if (counts === undefined) return handle();
    return counts.measure(found.table.name, request.method.slice(found.table.name.length + 1), handle);
  }

  #handle(request: Request, { table, row, handler }: Found): unknown {
    const [duplicate] = request.duplicates;
    if (duplicate !== undefined) throw invalidParameter(duplicate);
    const parameters = checkFields(table, row.in, request.parameters);
    if (row.more === "required" && !request.more) throw new MachinedError("ExpectedMore", "Expected the 'more' flag");
    if (row.access === "privileged" && !isPrivileged(this.#caller)) {
      throw new MachinedError("AccessDenied", "Access denied");
    }
    const stream = this.#stream;
    const call: VarlinkCall<object> = {
      transport: "varlink",
      access: row.access,
      more: request.more,
      interactive: parameters["allowInteractiveAuthentication"] === true,
      caller: () => Promise.resolve(this.#caller),
      onGone: (gone) => this.#gone.add(gone),
      emit: (reply) => {
        this.#stream.send([replyText(reply, true)]);
        this.#count();
      },
      feed: (next) => this.#feed(next),
      get takesMore() {
        return stream.takesMore;
      },
      descriptors: this.#descriptorsOf(this.#message),
    };
    return handler(call, parameters as never);
  }

  #descriptorsOf(message: VarlinkMessage | null): CallDescriptors | null {
    if (message === null || message.left === 0) return null;
    const receive = (most: number) => {
      if (this.#message !== message) throw new ErrnoError("EBADF", "The call has been answered");
      this.#isLast = false;
      return this.#stream.receiveLeft(message, most);
    };
    return { socket: this.#socket, bytes: message.left, receive };
  }

  /** Sends in the time of the caller's user, and only while the peer takes what it is sent: `drain` wakes it again. */
  #feed(next: () => string | null): () => void {
    let isQueued = false;
    const step = (): boolean => {
      isQueued = this.#feeder === feeder && this.#stream.isOpen && this.#stream.takesMore && this.#sendSome(next);
      return isQueued;
    };
    const wake = () => {
      if (isQueued || this.#feeder !== feeder) return;
      isQueued = true;
      this.#options.peers.turns.run(this.#place.owner, step);
    };
    const feeder = { wake };
    this.#feeder = feeder;
    return wake;
  }

  /** Returns false when `next` has nothing more for now. */
  #sendSome(next: () => string | null): boolean {
    const texts: string[] = [];
    let length = 0;
    let text: string | null = null;
    while (length < FEED_LENGTH) {
      text = next();
      if (text === null) break;
      texts.push(`{"parameters":${text},"continues":true}`);
      length += text.length;
    }
    if (texts.length > 0) {
      this.#stream.send(texts);
      this.#count();
    }
    return text !== null;
  }

  #reply(request: Request, reply: object): void {
    const descriptors = (reply as { [Reply.descriptors]?: readonly Fd[] })[Reply.descriptors] ?? [];
    if (request.oneway) for (const fd of descriptors) fd.close();
    else {
      const many = (reply as { [Reply.many]?: readonly object[] | Prepared<object> })[Reply.many];
      if (many === undefined) this.#stream.send([replyText(reply, false)], descriptors);
      else if (many instanceof Prepared) {
        many.bytes ??= encodeMessages(repliesText(many.value));
        this.#stream.sendEncoded(many.bytes);
      } else this.#stream.send(repliesText(many));
    }
    this.#done();
  }

  #fail(request: Request, error: unknown): void {
    if (!request.oneway) this.#stream.send([this.#errorText(request, error)]);
    this.#done();
  }

  /** Ends the current call. Runs inside `#step` or later; a later one queues the next call. */
  #done(): void {
    this.#message = null;
    this.#feeder = null;
    this.#gone.clear();
    if (this.#isLast) this.#stream.finish();
    else this.#goOn();
  }

  #errorText(request: Request, error: unknown): string {
    const known = describeError(error);
    if (known === null) this.#options.bug(error, request.method);
    const { id, parameters } = known ?? systemError("EIO");
    return Object.keys(parameters).length === 0 ? formatJson({ error: id }) : formatJson({ error: id, parameters });
  }
}

/** Whether a call of these interfaces may bring descriptors. */
function takesDescriptors(interfaces: readonly BoundVarlink[]): boolean {
  return interfaces.some(({ table }) => Object.values(table.methods).some((row) => row.descriptors !== undefined));
}

function repliesText(replies: readonly object[]): string[] {
  return replies.map((reply, index) => replyText(reply, index < replies.length - 1));
}

function replyText(reply: object, continues: boolean): string {
  let empty = true;
  for (const key in reply) if ((reply as Record<string, unknown>)[key] !== undefined) empty = false;
  const body = empty ? "" : `"parameters":${formatJson(reply)}`;
  return `{${body}${continues ? `${empty ? "" : ","}"continues":true` : ""}}`;
}

const KEYS = new Set(["method", "parameters", "more", "oneway", "upgrade"]);

/** Parses a call; returns null for text that is no call. */
function readRequest(text: string): Request | null {
  try {
    const { value, duplicates } = parseJson(text);
    if (typeof value !== "object" || value === null || Array.isArray(value)) return null;
    if (Object.keys(value).some((key) => !KEYS.has(key))) return null;
    const { method, parameters = null, more = false, oneway = false, upgrade = false } = value;
    if (typeof method !== "string" || typeof parameters !== "object" || Array.isArray(parameters)) return null;
    const flags = [more, oneway, upgrade];
    if (flags.some((flag) => typeof flag !== "boolean") || flags.filter((flag) => flag === true).length > 1)
      return null;
    return { method, parameters: parameters ?? {}, duplicates, more: more === true, oneway: oneway === true };
  } catch {
    return null;
  }
}

interface Found {
  readonly table: VarlinkInterface;
  readonly row: VarlinkMethod;
  readonly handler: AnyVarlinkHandler;
}

function findMethod(options: VarlinkServerOptions, name: string): Found {
  const dot = name.lastIndexOf(".");
  const member = name.slice(dot + 1);
  for (const { table, handlers } of [...options.interfaces, serviceInterface(options)]) {
    const handler = Object.hasOwn(handlers, member) ? handlers[member] : undefined;
    if (table.name !== name.slice(0, Math.max(dot, 0)) || handler === undefined) continue;
    return { table, row: table.methods[member] as VarlinkMethod, handler };
  }
  throw new MachinedError("MethodNotFound", `No method '${name}'`, { parameters: { method: name } });
}

/** Binds org.varlink.service to this server. */
function serviceInterface(options: VarlinkServerOptions): BoundVarlink {
  const tables = [IoSystemd, ...options.interfaces.map(({ table }) => table), OrgVarlinkService];
  return bindVarlink(OrgVarlinkService, {
    GetInfo: () => ({
      vendor: "The machined authors",
      product: options.product,
      version: options.version,
      url: "https://systemd.io/",
      interfaces: tables.map(({ name }) => name).sort(),
    }),
    GetInterfaceDescription: (_call, { interface: name }) => {
      const table = tables.find((candidate) => candidate.name === name);
      if (table !== undefined) return { description: describeInterface(table) };
      throw new MachinedError("InterfaceNotFound", `No interface '${name}'`, { parameters: { interface: name } });
    },
  });
}

function systemError(errnoName: string): { id: string; parameters: Readonly<Record<string, unknown>> } {
  const errno = errnoNumber(errnoName) ?? 5;
  return { id: "io.systemd.System", parameters: { origin: "linux", errno, errnoName } };
}

/** Returns the id and parameters of an error; null for a bug. */
function describeError(error: unknown): { id: string; parameters: Readonly<Record<string, unknown>> } | null {
  if (error instanceof MachinedError) {
    const row = ERRORS[error.code];
    return row.varlink === "io.systemd.System"
      ? systemError(row.errno)
      : { id: row.varlink, parameters: error.parameters };
  }
  if (error instanceof BusError) return systemError(error.errnoName);
  const errno = errnoNameOf(error);
  return errno === null ? null : systemError(errno);
}
