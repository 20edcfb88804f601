// One D-Bus connection on a socket: authentication, framing with limits, descriptors (D-Bus specification,
// "Authentication Protocol" and "Message Protocol"). A peer that violates the protocol is disconnected: errors in its
// data go to the handler `end` and are never thrown.
import { errnoText } from "../../base/errno.ts";
import { ErrnoError } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { MAX_FDS } from "../../kernel/socket/max-fds.ts";
import type { ByteStream, OpenStream, StreamHandlers as SocketHandlers } from "../../kernel/socket/stream.ts";
import {
  decodeBody,
  decodeHead,
  encodeMessage,
  InvalidHead,
  type MessageHead,
  type Outgoing,
} from "../message/message.ts";
import { Framer, limitOf } from "./framer.ts";
import { ClientHandshake, type Handshake } from "./handshake.ts";

/** The limit of the authentication, which includes that of ssh. */
export const HANDSHAKE_TIMEOUT_MS = 30_000;
/**
 * The descriptors of a message that is not complete, and those of the next one, whose first bytes may come with its
 * last.
 */
const MAX_QUEUED_DESCRIPTORS = 2 * MAX_FDS;
/** Stands for the descriptors of one message that are lost. */
const LOST = "lost";
/** A peer that does not read its replies is disconnected when more than this is queued for it. */
const QUEUE_LIMIT_BYTES = 64 << 20;

const NONE: readonly Fd[] = [];

/** A received message. The receiver closes `descriptors` when it has replied. */
export interface Incoming extends MessageHead {
  readonly descriptors: readonly Fd[];
  /** The length of the message in bytes, which is the memory that it occupies until its values are decoded. */
  readonly size: number;
  /**
   * Decodes the values. Throws a RangeError when the body does not match its signature, or was too long to be read, and
   * EMFILE when its descriptors are lost, because this process may open no more.
   */
  readonly values: () => unknown[];
}

export interface StreamHandlers {
  message(message: Incoming): void;
  /** Called once, when the connection has ended; `error` is the reason, where the peer did not simply close it. */
  end(error?: Error): void;
  ready?(): void;
  /**
   * A message was skipped: its head is longer than the limit, or not valid. Without this handler, such a message ends
   * the connection. A broker forwards messages of others, which must not end the connection to it.
   */
  skipped?(reason: string): void;
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
  /** How many bytes the peer may send in all; more end the connection. No limit unless given. */
  readonly receiveLimitBytes?: number | undefined;
}

export class BusStream {
  readonly #socket: ByteStream;
  readonly #handlers: StreamHandlers;
  readonly #handshake: Handshake;
  readonly #timer: ReturnType<typeof setTimeout>;
  #ready = false;
  #ended = false;
  #waiting: { bytes: Buffer; descriptors: readonly Fd[] }[] = [];
  readonly #framer: Framer;
  /** In the order of their messages. */
  #descriptors: (Fd | typeof LOST)[] = [];
  readonly #refusesDescriptors: boolean;
  /** How many bytes the peer may send from now on. */
  #receivable: number;

  /** `open` makes the socket's stream, which is ended with this one. */
  constructor(open: OpenStream, handlers: StreamHandlers, options: BusStreamOptions = {}) {
    const { handshake = new ClientHandshake(), takesDescriptors = 0 } = options;
    this.#handlers = handlers;
    this.#handshake = handshake;
    this.#refusesDescriptors = takesDescriptors === 0;
    this.#receivable = options.receiveLimitBytes ?? Number.POSITIVE_INFINITY;
    const { skipped } = handlers;
    this.#framer = new Framer({
      isOpen: () => !this.#ended,
      message: (bytes, head, isCut) => this.#deliver(bytes, head, isCut),
      ...(skipped === undefined ? {} : { tooLong: (bytes) => this.#passOver(bytes) }),
    });
    const streamHandlers: SocketHandlers = {
      data: (bytes, fds) => this.#receive(bytes, fds),
      lost: () => this.#descriptors.push(LOST),
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
    return this.#framer.heldBytes + this.#socket.queuedBytes;
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

  /**
   * Sends a message; descriptors are duplicated, so that the caller keeps its own. Waits for authentication, unless the
   * handshake allows messages before its end. Messages keep their order.
   */
  send(message: Outgoing): void {
    if (this.#ended) return;
    const encoded = encodeMessage(message);
    const descriptors = duplicates(encoded.descriptors as readonly Fd[]);
    const isAhead = this.#handshake.sendsAhead && descriptors.length === 0 && this.#waiting.length === 0;
    if (this.#ready || isAhead) this.#write(encoded.bytes, descriptors);
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
    for (const fd of this.#descriptors.splice(0)) if (fd !== LOST) fd.close();
  }

  #receive(bytes: Buffer, fds: readonly Fd[]): void {
    if (this.#ended) {
      for (const fd of fds) fd.close();
      return;
    }
    this.#descriptors.push(...fds);
    this.#receivable -= bytes.length;
    try {
      if (this.#receivable < 0) throw new RangeError("the peer sends too much");
      if (this.#descriptors.length > MAX_QUEUED_DESCRIPTORS) throw new RangeError("too many descriptors");
      const rest = this.#ready ? bytes : this.#authenticate(bytes);
      if (rest !== null) this.#framer.feed(rest);
    } catch (error) {
      this.#fail(error as Error);
    }
    this.#handlers.changed?.();
  }

  /** Feeds the handshake; returns the bytes after it once it is done, else null. */
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

  /**
   * Descriptors received so far belong to this message: all earlier ones have been delivered, and no later one has been
   * read.
   */
  #passOver(bytes: number): void {
    this.#handlers.skipped?.(`the header of its ${bytes} bytes is too long`);
    this.#dropDescriptors();
  }

  /** Returns the head of a message; null where it is not valid, and the message was skipped. */
  #headOf(bytes: Buffer): MessageHead | null {
    try {
      return decodeHead(bytes);
    } catch (error) {
      const { skipped } = this.#handlers;
      if (skipped === undefined || !(error instanceof RangeError)) throw error;
      if (error instanceof InvalidHead) this.#drop(error.descriptorCount);
      // How many of the received descriptors belong to it is not known: the next message must not get them.
      else if (this.#descriptors.length > 0) throw error;
      skipped(error.message);
      return null;
    }
  }

  /** Returns the descriptors of the next message, which has that many; null where they are lost. */
  #take(count: number): readonly Fd[] | null {
    if (count === 0) return NONE;
    if (this.#descriptors[0] === LOST) {
      this.#descriptors.shift();
      return null;
    }
    const taken = this.#descriptors.slice(0, count).filter((fd) => fd !== LOST);
    if (taken.length < count) throw new RangeError("descriptors are missing");
    this.#descriptors.splice(0, count);
    return taken;
  }

  /** Closes the descriptors of the next message. */
  #drop(count: number): void {
    for (const fd of this.#take(this.#refusesDescriptors ? 0 : count) ?? NONE) fd.close();
  }

  #deliver(bytes: Buffer, headLength: number, isCut: boolean): void {
    const head = this.#headOf(bytes);
    if (head === null) return;
    const descriptors = this.#take(this.#refusesDescriptors ? 0 : head.descriptorCount);
    let values: unknown[] | null = null;
    const message = head as MessageHead & { descriptors: readonly Fd[]; size: number; values: () => unknown[] };
    message.descriptors = descriptors ?? NONE;
    message.size = bytes.length;
    message.values = () => {
      if (isCut) throw new RangeError(`message is longer than ${limitOf(bytes) >> 20} MiB`);
      if (descriptors === null) throw new ErrnoError("EMFILE", errnoText("EMFILE"));
      values ??= decodeBody(bytes, headLength, head.signature, descriptors);
      return values;
    };
    this.#handlers.message(message);
  }
}

/** Returns a duplicate of each descriptor; where one cannot be duplicated (EMFILE), it leaves none open. */
function duplicates(descriptors: readonly Fd[]): readonly Fd[] {
  if (descriptors.length === 0) return NONE;
  using made = new DisposableStack();
  const all = descriptors.map((descriptor) => made.use(descriptor.duplicate()));
  made.move();
  return all;
}
