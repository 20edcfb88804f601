// One D-Bus connection on a socket: authentication, framing with limits, descriptors (D-Bus specification,
// "Authentication Protocol" and "Message Protocol"). A peer that violates the protocol is disconnected: errors in its
// data go to the handler `end` and are never thrown.
import type { Fd } from "../../kernel/file/fd.ts";
import type { ByteStream, OpenStream, StreamHandlers as SocketHandlers } from "../../kernel/socket/stream.ts";
import {
  decodeBody,
  decodeHead,
  encodeMessage,
  MESSAGE_TYPE,
  type MessageHead,
  measure,
  type Outgoing,
} from "../message/message.ts";
import { ClientHandshake, type Handshake } from "./handshake.ts";

const KIB = 1024;
const HANDSHAKE_TIMEOUT_MS = 30_000;
const MAX_QUEUED_DESCRIPTORS = 256;
const MESSAGE_LIMIT_BYTES = 16 << 20;
/** Calls of these services are much shorter. A longer one is answered with an error and not decoded. */
const CALL_LIMIT_BYTES = 2 << 20;
/** A peer that does not read its replies is disconnected when more than this is queued for it. */
const QUEUE_LIMIT_BYTES = 64 << 20;

const NONE: readonly Fd[] = [];

/** A received message. The receiver closes `descriptors` when it has replied. */
export interface Incoming extends MessageHead {
  readonly descriptors: readonly Fd[];
  /** The length of the message in bytes, which is the memory that it occupies until its values are decoded. */
  readonly size: number;
  /** Decodes the values. Throws a RangeError when the body does not match its signature, or was too long to be read. */
  readonly values: () => unknown[];
}

export interface StreamHandlers {
  message(message: Incoming): void;
  /** Called once, when the connection has ended; `error` is the reason, where the peer did not simply close it. */
  end(error?: Error): void;
  ready?(): void;
  /**
   * A message was skipped, because it is longer than the limit. Without this handler, such a message ends the
   * connection.
   */
  tooLong?(bytes: number): void;
  /** Something was received or sent: `heldBytes` or `takesMore` may have changed. */
  changed?(): void;
  /** The peer has closed its end while reading is paused. */
  hangup?(): void;
}

interface BusStreamOptions {
  /** The handshake of our side; ClientHandshake by default. */
  readonly handshake?: Handshake | undefined;
  /** How many descriptors a message may carry; 0 by default. More end the connection. */
  readonly takesDescriptors?: number;
}

export class BusStream {
  readonly #socket: ByteStream;
  readonly #handlers: StreamHandlers;
  readonly #handshake: Handshake;
  readonly #timer: ReturnType<typeof setTimeout>;
  #ready = false;
  #ended = false;
  #waiting: { bytes: Buffer; descriptors: readonly Fd[] }[] = [];
  #pending: Buffer = Buffer.alloc(0);
  #filled = 0;
  #skip = 0;
  #descriptors: Fd[] = [];
  readonly #refusesDescriptors: boolean;

  /** `open` makes the socket's stream, which is ended with this one. */
  constructor(open: OpenStream, handlers: StreamHandlers, options: BusStreamOptions = {}) {
    const { handshake = new ClientHandshake(), takesDescriptors = 0 } = options;
    this.#handlers = handlers;
    this.#handshake = handshake;
    this.#refusesDescriptors = takesDescriptors === 0;
    const streamHandlers: SocketHandlers = {
      data: (bytes, fds) => this.#receive(bytes, fds),
      end: (error) => this.#finish(error),
      drain: () => handlers.changed?.(),
      ...(handlers.hangup === undefined ? {} : { hangup: () => handlers.hangup?.() }),
    };
    this.#socket = open(streamHandlers, { takesDescriptors });
    this.#timer = setTimeout(() => this.#fail(new Error("authentication timed out")), HANDSHAKE_TIMEOUT_MS);
    this.#timer.unref();
    const opening = handshake.begin();
    if (opening.length > 0) this.#socket.write(opening);
  }

  get isOpen(): boolean {
    return !this.#ended;
  }

  /** Bytes of incomplete messages and of messages that wait to be sent. */
  get heldBytes(): number {
    return this.#pending.length + this.#socket.queuedBytes;
  }

  /** Whether the peer reads what is sent to it. */
  get takesMore(): boolean {
    return this.#socket.takesMore;
  }

  /** Stops reading: data waits in the socket. Messages that were received already are still delivered. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Sends a message; descriptors are duplicated, so that the caller keeps its own. Waits for authentication. */
  send(message: Outgoing): void {
    if (this.#ended) return;
    const encoded = encodeMessage(message);
    const descriptors = encoded.descriptors.map((descriptor) => (descriptor as Fd).duplicate());
    if (this.#ready) this.#write(encoded.bytes, descriptors);
    else this.#waiting.push({ bytes: encoded.bytes, descriptors });
  }

  #write(bytes: Buffer, descriptors: readonly Fd[]): void {
    this.#socket.write(bytes, descriptors);
    if (this.#socket.queuedBytes > QUEUE_LIMIT_BYTES) this.#fail(new Error("peer does not read its messages"));
  }

  close(reason?: Error): void {
    this.#finish(reason);
  }

  #fail(error: Error): void {
    this.#finish(error);
  }

  #finish(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#timer);
    this.#socket.close();
    this.#dropDescriptors();
    for (const { descriptors } of this.#waiting) for (const fd of descriptors) fd.close();
    this.#waiting = [];
    this.#handlers.end(error);
  }

  #dropDescriptors(): void {
    for (const fd of this.#descriptors.splice(0)) fd.close();
  }

  #receive(bytes: Buffer, fds: readonly Fd[]): void {
    if (this.#ended) {
      for (const fd of fds) fd.close();
      return;
    }
    this.#descriptors.push(...fds);
    try {
      if (this.#descriptors.length > MAX_QUEUED_DESCRIPTORS) throw new RangeError("too many descriptors");
      const rest = this.#ready ? bytes : this.#authenticate(bytes);
      if (rest !== null) this.#frames(rest);
    } catch (error) {
      this.#fail(error as Error);
    }
    this.#handlers.changed?.();
  }

  /** Feeds the handshake; returns the bytes behind it once it is done, else null. */
  #authenticate(bytes: Buffer): Buffer | null {
    const step = this.#handshake.feed(bytes);
    if (step.reply.length > 0) this.#socket.write(step.reply);
    if (step.rest === null) return null;
    this.#ready = true;
    clearTimeout(this.#timer);
    this.#handlers.ready?.();
    for (const { bytes: message, descriptors } of this.#waiting) this.#write(message, descriptors);
    this.#waiting = [];
    return step.rest;
  }

  /** Splits the stream into messages. A complete one is decoded in place; an incomplete one is collected. */
  #frames(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length && !this.#ended) {
      if (this.#skip > 0) {
        const step = Math.min(this.#skip, chunk.length - at);
        this.#skip -= step;
        at += step;
      } else if (this.#filled === 0) {
        const used = this.#direct(chunk.subarray(at));
        if (used === 0) at += this.#collect(chunk.subarray(at));
        else at += used;
      } else at += this.#collect(chunk.subarray(at));
    }
  }

  /** Delivers a message that is complete in `bytes` without copying it; returns its length, or 0. */
  #direct(bytes: Buffer): number {
    if (bytes.length < 16) return 0;
    const size = measure(bytes);
    if (size.total > limitOf(bytes) || size.total > bytes.length) return 0;
    this.#deliver(bytes.subarray(0, size.total), size.head);
    return size.total;
  }

  /** Takes the missing part of the current message from `bytes`; returns its length. */
  #collect(bytes: Buffer): number {
    let used = this.#fill(bytes, 16);
    if (this.#filled < 16) return used;
    const size = measure(this.#pending);
    if (size.head > MESSAGE_LIMIT_BYTES) return used + this.#passOver(size.total);
    const wanted = size.total > limitOf(this.#pending) ? size.head : size.total;
    used += this.#fill(bytes.subarray(used), wanted);
    if (this.#filled < wanted) return used;
    const message = this.#pending.subarray(0, wanted);
    this.#pending = Buffer.alloc(0);
    this.#filled = 0;
    if (wanted < size.total) this.#skip = size.total - wanted;
    this.#deliver(message, size.head, wanted < size.total);
    return used;
  }

  /**
   * Skips a message that is too long: a broker forwards messages of others, which must not end the connection to it.
   * Descriptors received so far belong to this message: all earlier ones have been delivered, and no later one has been read.
   */
  #passOver(total: number): number {
    if (this.#handlers.tooLong === undefined)
      throw new RangeError(`message header is longer than ${MESSAGE_LIMIT_BYTES >> 20} MiB`);
    this.#handlers.tooLong(total);
    this.#dropDescriptors();
    this.#pending = Buffer.alloc(0);
    this.#skip = total - this.#filled;
    this.#filled = 0;
    return 0;
  }

  /** Fills the buffer up to `wanted` bytes; it grows with the received data, not with the announced length. */
  #fill(bytes: Buffer, wanted: number): number {
    const take = Math.min(Math.max(wanted - this.#filled, 0), bytes.length);
    if (this.#filled + take > this.#pending.length) {
      const larger = Buffer.allocUnsafe(Math.max(4 * KIB, this.#pending.length * 2, this.#filled + take));
      this.#pending.copy(larger, 0, 0, this.#filled);
      this.#pending = larger;
    }
    bytes.copy(this.#pending, this.#filled, 0, take);
    this.#filled += take;
    return take;
  }

  #deliver(bytes: Buffer, headLength: number, tooLong = false): void {
    const head = decodeHead(bytes);
    const count = this.#refusesDescriptors ? 0 : head.descriptorCount;
    if (count > this.#descriptors.length) throw new RangeError("descriptors are missing");
    const descriptors = count === 0 ? NONE : this.#descriptors.splice(0, count);
    let values: unknown[] | null = null;
    const message = head as MessageHead & { descriptors: readonly Fd[]; size: number; values: () => unknown[] };
    message.descriptors = descriptors;
    message.size = bytes.length;
    message.values = () => {
      if (tooLong) throw new RangeError(`message is longer than ${limitOf(bytes) >> 20} MiB`);
      values ??= decodeBody(bytes, headLength, head.signature, descriptors);
      return values;
    };
    this.#handlers.message(message);
  }
}

function limitOf(head: Buffer): number {
  return head[1] === MESSAGE_TYPE.call ? CALL_LIMIT_BYTES : MESSAGE_LIMIT_BYTES;
}
