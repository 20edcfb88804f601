// A D-Bus client for programs that make a few calls and end. It does without dbus-next (../bus/connection.ts) and, on
// this host's buses, without the kernel layer: both take longer to load than such a call takes. The first call that
// passes descriptors makes a second connection, over a socket of our own. The first subscription to signals replaces
// both by the client of ../bus/client.ts, which makes all later calls.
import { BROKER, BROKER_PATH } from "../../base/vocabulary/bus-peers.ts";
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
} from "../bus/answer.ts";
import type { BusClient } from "../bus/client.ts";
import { BusError } from "../bus/error.ts";
import { BusStream, type Incoming } from "../bus/stream.ts";
import type { BusTarget } from "../bus/transport.ts";
import { encodeMessage, FLAG_NO_REPLY, MESSAGE_TYPE } from "../message/message.ts";
import { engineSocket, type PlainSocket } from "./engine-socket.ts";

interface Waiting {
  resolve(values: unknown[]): void;
  reject(error: Error): void;
}

const HELLO: BusCall = {
  destination: BROKER,
  path: BROKER_PATH,
  interface: BROKER,
  member: "Hello",
};

/** Whether a call has descriptors in its body, also within variants, or may have some in its reply. */
function passesDescriptors(call: BusCall): boolean {
  if (call.passesDescriptors === true) return true;
  if (!/[hv]/.test(call.signature ?? "")) return false;
  const { path, interface: iface, member, signature, body } = call;
  const message = { type: MESSAGE_TYPE.call, serial: 1, path, interface: iface, member, signature, body };
  return encodeMessage(message).descriptors.length > 0;
}

/** The part of BusClient that short programs use. */
type Calls = Pick<BusClient, "call" | "subscribe" | "onClose" | "close">;

/**
 * Connects to a bus or peer, also for descriptors where calls with such are expected. Throws an error with errno where
 * there is none, BusError where it refuses us. Descriptors among the values of a reply belong to the caller.
 */
export async function connectPlainBus(target: BusTarget, expectsDescriptors = false): Promise<Calls> {
  // A connection through a program is made only once, because ssh(1) may ask for a password.
  if (target.kind === "ssh" || target.kind === "login") return connectWhole(target);
  const plain = expectsDescriptors ? null : await engineSocket(target);
  return PlainBus.greeted(target, plain ?? (await ownSocket(target)));
}

async function ownSocket(target: BusTarget): Promise<PlainSocket> {
  return (await import("./own-socket.ts")).ownSocket(target);
}

async function connectWhole(target: BusTarget): Promise<BusClient> {
  return (await import("../bus/client.ts")).connectBus(target);
}

class PlainBus implements Calls {
  readonly #target: BusTarget;
  readonly #stream: BusStream;
  readonly #takesDescriptors: boolean;
  readonly #waiting = new Map<number, Waiting>();
  readonly #closeHandlers = new Set<(error?: Error) => void>();
  /** The connection for calls that pass descriptors, where this one takes none. */
  #second: Promise<PlainBus> | null = null;
  #whole: Promise<BusClient> | null = null;
  #serial = 0;
  /** The end of this connection. Once there is a client for signals, its end is reported instead. */
  #streamEnd: { readonly error: Error | undefined } | null = null;
  #ended: { readonly error: Error | undefined } | null = null;

  private constructor(target: BusTarget, { open, handshake, takesDescriptors, isPeerToPeer }: PlainSocket) {
    this.#target = target;
    this.#takesDescriptors = takesDescriptors > 0;
    this.#stream = new BusStream(
      open,
      {
        message: (message) => this.#receive(message),
        end: (error) => this.#end(error),
        ...(isPeerToPeer ? {} : { skipped: () => {} }),
      },
      { handshake, takesDescriptors },
    );
  }

  /** Returns a connection on which the bus has replied to Hello. */
  static async greeted(target: BusTarget, socket: PlainSocket): Promise<PlainBus> {
    const bus = new PlainBus(target, socket);
    try {
      if (!socket.isPeerToPeer) await bus.call(HELLO);
    } catch (error) {
      bus.close();
      throw error;
    }
    return bus;
  }

  async call(call: BusCall): Promise<unknown[]> {
    if (this.#whole !== null) return (await this.#whole).call(call);
    if (this.#ended !== null) throw disconnected(this.#ended.error);
    if (!this.#takesDescriptors && passesDescriptors(call)) return (await this.#withDescriptors()).call(call);
    const serial = ++this.#serial;
    const { promise, resolve, reject } = Promise.withResolvers<unknown[]>();
    const timer = setTimeout(() => reject(noReply(call)), call.timeoutMs ?? CALL_TIMEOUT_MS);
    this.#waiting.set(serial, { resolve, reject });
    const { path, interface: iface, member, destination, signature, body } = call;
    const address = { path, interface: iface, member, destination, signature, body };
    try {
      this.#stream.send({ ...address, type: MESSAGE_TYPE.call, flags: flagsOf(call), serial });
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(serial);
    }
  }

  async subscribe(...subscription: Parameters<BusClient["subscribe"]>): ReturnType<BusClient["subscribe"]> {
    this.#whole ??= this.#becomeWhole();
    return (await this.#whole).subscribe(...subscription);
  }

  /** Calls back when the connection has ended, at once if it has ended already. */
  onClose(handler: (error?: Error) => void): void {
    if (this.#ended !== null) handler(this.#ended.error);
    else this.#closeHandlers.add(handler);
  }

  close(): void {
    this.#stream.close();
    void this.#second?.then((bus) => bus.close()).catch(() => {});
    void this.#whole?.then((client) => client.close()).catch(() => {});
  }

  #withDescriptors(): Promise<PlainBus> {
    this.#second ??= ownSocket(this.#target).then((socket) => PlainBus.greeted(this.#target, socket));
    // The next call tries again.
    this.#second.catch(() => {
      this.#second = null;
    });
    return this.#second;
  }

  async #becomeWhole(): Promise<BusClient> {
    try {
      const client = await connectWhole(this.#target);
      client.onClose((error) => this.#tell(error));
      return client;
    } catch (error) {
      // Calls continue over this connection, which may have ended meanwhile.
      this.#whole = null;
      if (this.#streamEnd !== null) this.#tell(this.#streamEnd.error);
      throw error;
    }
  }

  #receive(message: Incoming): void {
    const { type, descriptors } = message;
    const isAnswer = type === MESSAGE_TYPE.reply || type === MESSAGE_TYPE.error;
    if (isAnswer) {
      this.#receiveAnswer(message);
      return;
    }
    closeAll(descriptors);
    if (type !== MESSAGE_TYPE.call || (message.flags & FLAG_NO_REPLY) !== 0) return;
    this.#stream.send({ ...unknownMethod(message), flags: FLAG_NO_REPLY, serial: ++this.#serial });
  }

  /**
   * The descriptors among the values belong to the caller; others, and those of a reply that nobody waits for, are
   * closed.
   */
  #receiveAnswer(message: Incoming): void {
    const waiting = this.#waiting.get(message.replySerial ?? 0);
    if (waiting === undefined) {
      closeAll(message.descriptors);
      return;
    }
    // Removed at once, so that the descriptors of a second reply to the same call are closed.
    this.#waiting.delete(message.replySerial ?? 0);
    const { values, error } = answerOf(message);
    if (message.descriptors.length > 0) {
      const theirs = descriptorsIn(values, message.descriptors);
      closeAll(message.descriptors.filter((fd) => !theirs.has(fd)));
    }
    if (error === undefined) waiting.resolve(values);
    else waiting.reject(new BusError(error, String(values[0])));
  }

  #end(error?: Error): void {
    this.#streamEnd = { error };
    for (const { reject } of this.#waiting.values()) reject(disconnected(error));
    if (this.#whole === null) this.#tell(error);
  }

  #tell(error?: Error): void {
    this.#ended ??= { error };
    for (const handler of this.#closeHandlers) handler(error);
    this.#closeHandlers.clear();
  }
}
