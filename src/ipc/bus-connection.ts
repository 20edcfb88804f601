// dbus-next's MessageBus on our transport: it numbers calls, matches their replies and says Hello. The only file that
// imports dbus-next. Its connection, service and match layers are not used: they lose descriptors, have no limits and
// hide the sender (docs/decisions/0003-dbus-next.md).
import { EventEmitter } from "node:events";
import MessageBus from "dbus-next/lib/bus.js";
import { Message } from "dbus-next/lib/message-type.js";
import type { Fd } from "../kernel/fd.ts";
import { BusError } from "./bus-error.ts";
import type { Handshake } from "./bus-handshake.ts";
import { FLAG_NO_REPLY, MESSAGE_TYPE, type Outgoing } from "./bus-message.ts";
import { BusStream, type Incoming } from "./bus-stream.ts";

/** A method call to a peer. Without `interactive` the peer may not ask a person. `timeoutMs` is 25 s by default. */
export interface BusCall {
  readonly destination?: string;
  readonly path: string;
  readonly interface: string;
  readonly member: string;
  readonly signature?: string;
  readonly body?: readonly unknown[];
  readonly interactive?: boolean;
  readonly noAutoStart?: boolean;
  readonly timeoutMs?: number;
}

const CALL_TIMEOUT_MS = 25_000;
const HELLO = "Hello";

export interface ConnectionHandlers {
  /** A method call from a peer. */
  call?(message: Incoming): void;
  signal?(message: Incoming): void;
  /** A message was passed over because of its length. */
  tooLong?(bytes: number): void;
  /** Once, when the connection is over. */
  end?(error?: Error): void;
}

/** What MessageBus wants of a connection: `message()` to send, and the events "message" and "error". */
class Adapter extends EventEmitter {
  readonly stream = { end: () => this.owner?.close(), writable: true };
  owner: BusStream | null = null;
  readonly #peerToPeer: boolean;

  constructor(peerToPeer: boolean) {
    super();
    this.#peerToPeer = peerToPeer;
  }

  message(message: Message): void {
    // Between two peers there is no broker to greet: the greeting is answered here.
    if (this.#peerToPeer && message.member === HELLO && message.destination === "org.freedesktop.DBus") {
      const serial = message.serial as number;
      queueMicrotask(() => this.emit("message", reply(serial, [null])));
      return;
    }
    this.owner?.send(message as unknown as Outgoing);
  }
}

/** A reply in the shape in which MessageBus looks for it; the values travel beside it. */
function reply(serial: number, body: unknown[], error?: string): object {
  const type = error === undefined ? MESSAGE_TYPE.reply : MESSAGE_TYPE.error;
  return { type, replySerial: serial, body, errorName: error, sender: null };
}

export class BusConnection {
  readonly #bus: MessageBus;
  readonly #adapter: Adapter;
  readonly #stream: BusStream;
  readonly #pending = new Set<(error: Error) => void>();
  readonly #handlers: ConnectionHandlers;
  #closed = false;

  /** Takes ownership of the socket. `peerToPeer`: there is no broker at the other end. */
  constructor(fd: Fd, handlers: ConnectionHandlers, options: { peerToPeer?: boolean; handshake?: Handshake } = {}) {
    this.#handlers = handlers;
    this.#adapter = new Adapter(options.peerToPeer === true);
    // MessageBus throws into the void when its greeting fails; the end of the stream tells us the same.
    this.#adapter.on("error", () => {});
    this.#stream = new BusStream(
      fd,
      {
        message: (message) => this.#receive(message),
        end: (error) => this.#end(error),
        tooLong: (bytes) => this.#handlers.tooLong?.(bytes),
      },
      options.handshake,
    );
    this.#adapter.owner = this.#stream;
    this.#bus = new MessageBus(this.#adapter);
    this.#bus.on("error", () => {});
    forgetNameOwners(this.#bus);
  }

  /** Resolves with our unique name once the broker has greeted us; null between two peers. */
  ready(): Promise<string | null> {
    if (this.#closed) return Promise.reject(disconnected());
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => reject(error);
      this.#pending.add(fail);
      this.#bus.once("connect", () => {
        this.#pending.delete(fail);
        resolve(this.#bus.name);
      });
    });
  }

  get uniqueName(): string | null {
    return this.#bus.name;
  }

  get isOpen(): boolean {
    return !this.#closed;
  }

  /** Calls a peer. Gives the values of its answer; throws BusError for an error reply, a timeout or a lost bus. */
  call(call: BusCall): Promise<unknown[]> {
    if (this.#closed) return Promise.reject(disconnected());
    const message = new Message({ ...addressOf(call), flags: flagsOf(call), body: call.body ?? [] });
    const serial = this.#nextSerial();
    message.serial = serial;
    return new Promise((resolve, reject) => {
      const settle = () => {
        clearTimeout(timer);
        delete this.#bus._methodReturnHandlers[serial];
        this.#pending.delete(fail);
      };
      const fail = (error: Error) => {
        settle();
        reject(error);
      };
      const timer = setTimeout(() => fail(noReply(call)), call.timeoutMs ?? CALL_TIMEOUT_MS);
      this.#pending.add(fail);
      this.#bus.call(message).then(
        (answer) => {
          settle();
          resolve((answer as { body: unknown[] }).body);
        },
        (error: { type?: string; text?: string; message?: string }) =>
          fail(new BusError(error.type ?? FAILED, error.text ?? String(error.message))),
      );
    });
  }

  /** Sends a reply, an error or a signal: anything that no answer comes back to. */
  send(message: Omit<Outgoing, "serial">): void {
    this.#stream.send({ ...message, flags: (message.flags ?? 0) | FLAG_NO_REPLY, serial: this.#nextSerial() });
  }

  close(): void {
    this.#stream.close();
  }

  /** Serials have 32 bits; MessageBus counts on for ever. */
  #nextSerial(): number {
    if (this.#bus._serial > 0xffff_0000) this.#bus._serial = 1;
    return this.#bus.newSerial();
  }

  #receive(message: Incoming): void {
    if (message.type === MESSAGE_TYPE.call) this.#handlers.call?.(message);
    else if (message.type === MESSAGE_TYPE.signal) this.#handlers.signal?.(message);
    else this.#adapter.emit("message", replyOf(message));
  }

  #end(error?: Error): void {
    this.#closed = true;
    for (const fail of [...this.#pending]) fail(disconnected(error));
    this.#handlers.end?.(error);
  }
}

const FAILED = "org.freedesktop.DBus.Error.Failed";

function addressOf(call: BusCall) {
  const { path, interface: iface, member, destination, signature } = call;
  return { path, interface: iface, member, ...(destination && { destination }), ...(signature && { signature }) };
}

function flagsOf(call: BusCall): number {
  return (call.interactive === true ? 4 : 0) | (call.noAutoStart === true ? 2 : 0);
}

function replyOf(message: Incoming): object {
  const serial = message.replySerial as number;
  try {
    const values = message.values();
    if (message.type === MESSAGE_TYPE.reply) return reply(serial, values);
    return reply(serial, [String(values[0] ?? "")], message.errorName);
  } catch (error) {
    return reply(serial, [(error as Error).message], "org.freedesktop.DBus.Error.InconsistentMessage");
  }
}

function disconnected(cause?: Error): BusError {
  const text = cause === undefined ? "Connection terminated" : `Connection terminated: ${cause.message}`;
  return new BusError("org.freedesktop.DBus.Error.Disconnected", text);
}

function noReply(call: BusCall): BusError {
  return new BusError("org.freedesktop.DBus.Error.NoReply", `No answer to ${call.interface}.${call.member}() in time`);
}

/**
 * MessageBus remembers the owner of each name it has called and then drops messages to that name, ours included.
 * A table that forgets at once turns this off.
 */
function forgetNameOwners(bus: MessageBus): void {
  Object.defineProperty(bus, "_nameOwners", { value: new Proxy({}, { set: () => true, get: () => undefined }) });
}
