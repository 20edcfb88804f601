// dbus-next's MessageBus on our transport: it numbers calls, matches their replies and says Hello. The only file that
// imports dbus-next. Its connection, service and match layers are not used: they lose descriptors, have no limits and
// hide the sender (docs/decisions/0003-dbus-next-as-codec.md).

import { EventEmitter } from "node:events";
import MessageBus from "dbus-next/lib/bus.js";
import { Message } from "dbus-next/lib/message-type.js";
import { errnoNameOf } from "../../base/error.ts";
import { inNextTurn } from "../../base/next-turn.ts";
import { BROKER } from "../../base/vocabulary/bus-peers.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { MAX_FDS } from "../../kernel/socket/max-fds.ts";
import { streamOn } from "../../kernel/socket/stream.ts";
import { FLAG_NO_REPLY, MESSAGE_TYPE, type Outgoing } from "../message/message.ts";
import {
  answerOf,
  type BusCall,
  CALL_TIMEOUT_MS,
  closeAll,
  descriptorsIn,
  disconnected,
  flagsOf,
  noReply,
  unknownMethod,
} from "./answer.ts";
import { BusError } from "./error.ts";
import type { Handshake } from "./handshake.ts";
import { BusStream, HANDSHAKE_TIMEOUT_MS, type Incoming } from "./stream.ts";

export type { BusCall } from "./answer.ts";

const HELLO = "Hello";

interface ConnectionHandlers {
  /** A method call from a peer. */
  call?(message: Incoming): void;
  signal?(message: Incoming): void;
  /** A message was skipped, for this reason. */
  skipped?(reason: string): void;
  /** Called once, when the connection has ended. */
  end?(error?: Error): void;
  /** `takesMore` may have changed. */
  changed?(): void;
}

/**
 * What happens to received descriptors:
 * - `none`: no called method returns one, and a peer that sends one is disconnected. Not for a broker that was asked
 *   whether it passes descriptors.
 * - `lent`: those of a reply are closed at the end of the event-loop turn in which it is delivered.
 * - `kept`: those among the values of a reply belong to the caller, who closes them. Those of a call belong to its
 *   handler; those of a signal, and all that no value refers to, are closed here.
 */
export type DescriptorPolicy = "none" | "lent" | "kept";

export interface ConnectionOptions {
  /** The peer is no broker. */
  readonly peerToPeer?: boolean | undefined;
  readonly handshake?: Handshake | undefined;
  /** `kept` by default. */
  readonly descriptors?: DescriptorPolicy | undefined;
  /** See BusStream. */
  readonly receiveLimitBytes?: number | undefined;
  /** The limit of the authentication and of Hello, in all; a shorter one for tests. */
  readonly readyTimeoutMs?: number | undefined;
}

const READY_TIMEOUT_MS = HANDSHAKE_TIMEOUT_MS + CALL_TIMEOUT_MS;

/** The connection that MessageBus needs: `message()` to send, and the events "message" and "error". */
class Adapter extends EventEmitter {
  readonly stream = { end: () => this.owner?.close(), writable: true };
  owner: BusStream | null = null;
  /** The serial of the call of Hello; 0 until it is sent. */
  helloSerial = 0;
  readonly #peerToPeer: boolean;

  constructor(peerToPeer: boolean) {
    super();
    this.#peerToPeer = peerToPeer;
  }

  message(message: Message): void {
    // Between two peers there is no broker that replies to Hello: the reply is made here.
    if (message.member === HELLO && message.destination === BROKER) {
      const serial = message.serial as number;
      this.helloSerial = serial;
      if (this.#peerToPeer) {
        queueMicrotask(() => this.emit("message", reply(serial, [null])));
        return;
      }
    }
    this.owner?.send(message as unknown as Outgoing);
  }
}

interface Answer {
  readonly body: unknown[];
  readonly errorName: string | undefined;
}

/** A reply in the form that MessageBus expects; the values are passed beside it. */
function reply(serial: number, body: unknown[], error?: string): Answer {
  const type = error === undefined ? MESSAGE_TYPE.reply : MESSAGE_TYPE.error;
  return { type, replySerial: serial, body, errorName: error, sender: null } as Answer;
}

export class BusConnection {
  readonly #bus: MessageBus;
  readonly #adapter: Adapter;
  readonly #stream: BusStream;
  readonly #pending = new Set<(error: Error) => void>();
  readonly #handlers: ConnectionHandlers;
  readonly #policy: DescriptorPolicy;
  readonly #readyTimeoutMs: number;
  #closed = false;

  /** Takes ownership of the socket. */
  constructor(fd: Fd, handlers: ConnectionHandlers, options: ConnectionOptions = {}) {
    this.#handlers = handlers;
    this.#policy = options.descriptors ?? "kept";
    this.#readyTimeoutMs = options.readyTimeoutMs ?? READY_TIMEOUT_MS;
    this.#adapter = new Adapter(options.peerToPeer === true);
    // What MessageBus reports when Hello fails is ignored: the end of the stream reports the same.
    this.#adapter.on("error", () => {});
    this.#stream = new BusStream(
      streamOn(fd),
      {
        message: (message) => this.#receive(message),
        end: (error) => this.#end(error),
        ...(options.peerToPeer === true ? {} : { skipped: (reason: string) => handlers.skipped?.(reason) }),
        changed: () => handlers.changed?.(),
      },
      {
        handshake: options.handshake,
        takesDescriptors: this.#policy === "none" ? 0 : MAX_FDS,
        receiveLimitBytes: options.receiveLimitBytes,
      },
    );
    this.#adapter.owner = this.#stream;
    this.#bus = new MessageBus(this.#adapter);
    this.#bus.on("error", () => {});
    forgetNameOwners(this.#bus);
  }

  /**
   * Resolves to our unique name when the broker has replied to Hello; to null between two peers. Throws a BusError:
   * that of the broker where it refuses Hello.
   */
  ready(): Promise<string | null> {
    if (this.#closed) return Promise.reject(disconnected());
    return new Promise((resolve, reject) => {
      const late = () => this.#stream.close(new Error("the bus did not answer Hello in time"));
      const timer = setTimeout(late, this.#readyTimeoutMs);
      const fail = (error: Error) => {
        clearTimeout(timer);
        reject(error);
      };
      this.#pending.add(fail);
      this.#bus.once("connect", () => {
        clearTimeout(timer);
        this.#pending.delete(fail);
        resolve(this.#bus.name);
      });
    });
  }

  get uniqueName(): string | null {
    return this.#bus.name;
  }

  /** Whether the peer reads what is sent to it. */
  get takesMore(): boolean {
    return this.#stream.takesMore;
  }

  get isOpen(): boolean {
    return !this.#closed;
  }

  /**
   * Calls a peer. Returns the values of its reply. Throws BusError for an error reply, a timeout or a lost bus, and an
   * error with errno where this process is short of descriptors for those of the call.
   */
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
        (error: { type?: string; text?: string; message?: string }) => fail(failureOf(error)),
      );
    });
  }

  /** Sends a reply, an error or a signal: messages that get no reply. */
  send(message: Omit<Outgoing, "serial">): void {
    this.#stream.send({ ...message, flags: (message.flags ?? 0) | FLAG_NO_REPLY, serial: this.#nextSerial() });
  }

  close(): void {
    this.#stream.close();
  }

  /** Serials have 32 bits; MessageBus counts beyond them. */
  #nextSerial(): number {
    if (this.#bus._serial > 0xffff_0000) this.#bus._serial = 1;
    return this.#bus.newSerial();
  }

  #receive(message: Incoming): void {
    if (message.type === MESSAGE_TYPE.call) this.#receiveCall(message);
    else if (message.type === MESSAGE_TYPE.signal) this.#receiveSignal(message);
    else if (message.type === MESSAGE_TYPE.reply || message.type === MESSAGE_TYPE.error) this.#receiveAnswer(message);
    else closeAll(message.descriptors);
  }

  #receiveCall(message: Incoming): void {
    if (this.#handlers.call !== undefined) {
      this.#handlers.call(message);
      return;
    }
    closeAll(message.descriptors);
    if ((message.flags & FLAG_NO_REPLY) === 0) this.send(unknownMethod(message));
  }

  #receiveSignal(message: Incoming): void {
    try {
      this.#handlers.signal?.(message);
    } finally {
      closeAll(message.descriptors);
    }
  }

  /** Closes the descriptors of a reply that no caller waits for. */
  #receiveAnswer(message: Incoming): void {
    const isAwaited = Object.hasOwn(this.#bus._methodReturnHandlers, message.replySerial as number);
    const answer = isAwaited ? replyOf(message) : null;
    const found =
      answer === null || message.descriptors.length === 0 ? NONE : descriptorsIn(answer.body, message.descriptors);
    closeAll(message.descriptors.filter((fd) => !found.has(fd)));
    // Callers that continue at once with the reply run before this.
    if (this.#policy === "lent" && found.size > 0) inNextTurn(() => closeAll(found));
    if (answer === null) return;
    const { errorName, body } = answer;
    // MessageBus would throw this where nobody catches it, and the broker may keep the connection.
    if (errorName !== undefined && message.replySerial === this.#adapter.helloSerial) {
      this.#stream.close(new BusError(errorName, String(body[0])));
    } else this.#adapter.emit("message", answer);
  }

  #end(error?: Error): void {
    this.#closed = true;
    for (const fail of [...this.#pending]) fail(error instanceof BusError ? error : disconnected(error));
    this.#handlers.end?.(error);
  }
}

const FAILED = "org.freedesktop.DBus.Error.Failed";

/** The error of a call: one with errno is no reply, but says why the call could not be sent. */
function failureOf(error: { type?: string; text?: string; message?: string }): Error {
  if (error.type === undefined && errnoNameOf(error) !== null) return error as Error;
  return new BusError(error.type ?? FAILED, error.text ?? String(error.message));
}

function addressOf(call: BusCall) {
  const { path, interface: iface, member, destination, signature } = call;
  return { path, interface: iface, member, ...(destination && { destination }), ...(signature && { signature }) };
}

const NONE: ReadonlySet<Fd> = new Set();

function replyOf(message: Incoming): Answer {
  const { values, error } = answerOf(message);
  return reply(message.replySerial as number, values, error);
}

/**
 * MessageBus stores the owner of each name that it has called and then drops messages to that name, including ours.
 * A table that stores nothing disables this.
 */
function forgetNameOwners(bus: MessageBus): void {
  Object.defineProperty(bus, "_nameOwners", { value: new Proxy({}, { set: () => true, get: () => undefined }) });
}
