// Varlink messages on a socket: JSON objects, each ended by one NUL byte. Descriptors are sent with the first byte of a
// message. A client receives them with the message; in a server they stay in the socket until `receiveLeft()`. Messages
// are delivered as they arrive (handler `message`), or are taken one at a time (handler `readable` and `next()`). In
// the second case the socket is read only as far as the next message needs.
import { isUtf8 } from "node:buffer";
import type { Fd } from "../../kernel/file/fd.ts";
import type { ByteStream, OpenStream } from "../../kernel/socket/stream.ts";
import { GrowingBuffer } from "../growing-buffer.ts";

const MESSAGE_LIMIT_BYTES = 16 << 20;
const QUEUE_LIMIT_BYTES = 64 << 20;
/**
 * The descriptors of a longer message are sent with its last piece of this length: a server that leaves descriptors in
 * the socket sees only the piece that they came with, and that must complete the message.
 */
const PIECE_BYTES = 16 << 10;

/** A message that `next()` returned; the caller owns its descriptors. */
export interface VarlinkMessage {
  readonly text: string;
  readonly descriptors: Fd[];
  /**
   * How many bytes are still in the socket because the message's descriptors are; 0 where it has none, or `descriptors`
   * has them.
   */
  readonly left: number;
}

/** The handlers of a stream: either `message`, or `readable`. */
export interface VarlinkStreamHandlers {
  /** A message has arrived; the handler owns its descriptors. */
  message?(text: string, descriptors: Fd[]): void;
  /**
   * Several whole messages without descriptors have arrived, each with its NUL. Where it returns false, `message` is
   * called for each.
   */
  messages?(bytes: Buffer): boolean;
  /** Data has arrived: the owner calls `next()`, now or later. */
  readable?(): void;
  /** The queue of sent data is empty. */
  drain?(): void;
  /**
   * The peer has shut down its writing side, but may still read. Without this handler the connection is closed, also
   * where a message is malformed: with it, replies to earlier messages are sent first.
   */
  readEnd?(): void;
  /** The peer has disconnected, and data that it sent has not been taken. */
  hangup?(): void;
  /** Called once, when the connection has ended; `error` is the reason, where the peer did not simply close it. */
  end(error?: Error): void;
}

interface VarlinkStreamOptions {
  /** A longer message ends the connection. */
  readonly messageLimitBytes?: number;
}

/** Returns the bytes of several messages, to be sent in one piece. */
export function encodeMessages(texts: readonly string[]): Buffer {
  return Buffer.from(texts.map((text) => `${text}\0`).join(""));
}

/** A stream of messages in both directions. It owns its socket, and descriptors that were not taken. */
export class VarlinkStream {
  readonly #socket: ByteStream;
  readonly #handlers: VarlinkStreamHandlers;
  readonly #messageLimitBytes: number;
  /** The data that was read last, until all of it is taken; `#at` is the offset of the rest. */
  #chunk: Buffer | null = null;
  #at = 0;
  /** The descriptors that were received with the chunk. */
  #arrived: Fd[] = [];
  /** The length of the chunk, where its descriptors stay in the socket together with its bytes; else 0. */
  #left = 0;
  /** The offset in the chunk of the message that the descriptors belong to. */
  #owner = 0;
  /** The beginning of a message whose end has not arrived. */
  readonly #partial = new GrowingBuffer(256);
  #descriptors: Fd[] = [];
  /** Why the connection ends as soon as the queued data has been sent. */
  #rejected: Error | undefined;
  #ended = false;

  /** `open` makes the socket's stream, which this one owns. */
  constructor(open: OpenStream, handlers: VarlinkStreamHandlers, options: VarlinkStreamOptions = {}) {
    this.#handlers = handlers;
    this.#messageLimitBytes = options.messageLimitBytes ?? MESSAGE_LIMIT_BYTES;
    this.#socket = open({
      data: (bytes, fds) => this.#receive(bytes, fds),
      left: (bytes) => {
        this.#left = bytes.length;
        this.#receive(bytes, []);
      },
      end: (error) => this.#end(error ?? this.#rejected),
      readEnd: () => this.#readEnd(),
      drain: () => handlers.drain?.(),
      ...(handlers.hangup === undefined ? {} : { hangup: () => handlers.hangup?.() }),
    });
  }

  get isOpen(): boolean {
    return !this.#ended;
  }

  /** Bytes that wait to be taken or to be sent. */
  get heldBytes(): number {
    return (
      this.#partial.heldBytes + (this.#chunk === null ? 0 : this.#chunk.length - this.#at) + this.#socket.queuedBytes
    );
  }

  /** Whether the peer reads what is sent to it. */
  get takesMore(): boolean {
    return this.#socket.takesMore;
  }

  /**
   * Sends messages in one piece, with the descriptors, and takes ownership of these: they belong to the first message.
   */
  send(texts: readonly string[], descriptors: readonly Fd[] = []): void {
    if (this.#ended) closeAll(descriptors);
    else this.sendEncoded(encodeMessages(texts), descriptors);
  }

  /** As `send()`, for messages that `encodeMessages()` has encoded. */
  sendEncoded(bytes: Uint8Array, descriptors: readonly Fd[] = []): void {
    const plain = descriptors.length === 0 ? 0 : Math.max(0, bytes.length - PIECE_BYTES);
    if (plain > 0) this.#socket.write(bytes.subarray(0, plain));
    this.#socket.write(bytes.subarray(plain), descriptors);
    if (this.#socket.queuedBytes > QUEUE_LIMIT_BYTES) this.#end(new Error("peer does not read its messages"));
  }

  /** Returns the next message, or null when none is complete: then `readable` is called again. */
  next(): VarlinkMessage | null {
    const chunk = this.#chunk;
    if (chunk === null || this.#ended) return null;
    const end = chunk.indexOf(0, this.#at);
    const areIts = this.#at === this.#owner || end < 0;
    if (areIts && this.#arrived.length > 0) this.#descriptors.push(...this.#arrived.splice(0));
    if (end < 0 && this.#left > 0) {
      this.reject(`descriptors came with a piece of ${this.#left} bytes that does not end a message`);
      return null;
    }
    const left = areIts ? this.#left : 0;
    const part = chunk.subarray(this.#at, end < 0 ? chunk.length : end);
    this.#at += part.length + 1;
    if (this.#at >= chunk.length) this.#readOn();
    return end < 0 ? this.#keep(part) : this.#complete(part, left);
  }

  /**
   * Receives the descriptors that a message left in the socket; the caller owns them. Throws `EXFULL` for more than
   * `most`.
   */
  receiveLeft({ left }: VarlinkMessage, most: number): Fd[] {
    this.#left = 0;
    return this.#socket.receiveLeft?.(left, most) ?? [];
  }

  /** Sends queued data, then closes the connection. */
  finish(): void {
    this.#socket.finish();
  }

  close(error?: Error): void {
    this.#end(error);
  }

  /** Takes no further message, because one is malformed, and ends the connection: see the handler `readEnd`. */
  reject(reason: string): void {
    if (this.#handlers.readEnd === undefined) {
      this.#end(new Error(reason));
      return;
    }
    this.#rejected ??= new Error(reason);
    this.#dropInput();
    this.#socket.finish();
  }

  #readEnd(): void {
    if (this.#handlers.readEnd === undefined) this.#end();
    else {
      // The end of this message will not come.
      this.#partial.clear();
      this.#handlers.readEnd();
    }
  }

  #receive(bytes: Buffer, fds: Fd[]): void {
    if (this.#ended) {
      closeAll(fds);
      return;
    }
    this.#chunk = bytes;
    this.#at = 0;
    this.#arrived = fds;
    this.#owner = fds.length === 0 && this.#left === 0 ? 0 : startOfLast(bytes);
    if (this.#handlers.readable === undefined) this.#deliver();
    else {
      this.#handlers.readable();
      if (this.#chunk !== null) this.#socket.pause();
    }
  }

  #deliver(): void {
    const isPlain = this.#arrived.length === 0 && this.#descriptors.length === 0;
    if (isPlain && this.#partial.length === 0 && this.#handlers.messages !== undefined) this.#deliverMany();
    while (this.#chunk !== null) {
      const message = this.next();
      if (message !== null) this.#handlers.message?.(message.text, message.descriptors);
    }
  }

  #deliverMany(): void {
    const chunk = this.#chunk as Buffer;
    const last = chunk.lastIndexOf(0);
    if (last <= chunk.indexOf(0) || this.#handlers.messages?.(chunk.subarray(0, last + 1)) !== true) return;
    this.#at = last + 1;
    if (this.#at === chunk.length) this.#readOn();
  }

  #readOn(): void {
    this.#chunk = null;
    this.#socket.resume();
  }

  #keep(part: Buffer): null {
    if (this.#partial.length + part.length > this.#messageLimitBytes) this.#tooLong();
    else this.#partial.append(part);
    return null;
  }

  #complete(last: Buffer, left: number): VarlinkMessage | null {
    let bytes = last;
    if (this.#partial.length + last.length > this.#messageLimitBytes) return this.#tooLong();
    if (this.#partial.length > 0) {
      this.#partial.append(last);
      bytes = this.#partial.take();
    }
    if (!isUtf8(bytes)) {
      this.reject("message is not UTF-8");
      return null;
    }
    const descriptors = this.#descriptors;
    this.#descriptors = [];
    return { text: bytes.toString(), descriptors, left };
  }

  #tooLong(): null {
    this.reject(`message is longer than ${this.#messageLimitBytes >> 10} KiB`);
    return null;
  }

  #end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.close();
    this.#dropInput();
    this.#handlers.end(error);
  }

  #dropInput(): void {
    closeAll(this.#descriptors.splice(0));
    closeAll(this.#arrived.splice(0));
    this.#chunk = null;
    this.#partial.clear();
  }
}

/**
 * Returns where the last message of a chunk begins. The chunk's descriptors belong to it: the kernel joins data of
 * several sendmsg(2) calls, but none after data with descriptors.
 */
function startOfLast(chunk: Buffer): number {
  // A negative offset would count from the end, and find the NUL that is the whole chunk.
  return chunk.length < 2 ? 0 : chunk.lastIndexOf(0, chunk.length - 2) + 1;
}

function closeAll(descriptors: readonly Fd[]): void {
  for (const fd of descriptors) fd.close();
}
