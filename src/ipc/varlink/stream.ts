// Varlink messages on a socket: JSON objects, each ended by one NUL byte; descriptors with the first byte of a message. A
// client receives them with the message; in a server they stay in the socket until they are asked for. Messages are handed
// out as they come (`message`), or taken one at a time (`readable` and `next()`): then nothing more is read from the socket
// than the piece in which the next message lies.
import { isUtf8 } from "node:buffer";
import type { Fd } from "../../kernel/file/fd.ts";
import type { SocketStream, StreamHandlers } from "../../kernel/socket/stream.ts";

const MESSAGE_LIMIT_BYTES = 16 << 20;
const QUEUE_LIMIT_BYTES = 64 << 20;
/**
 * A server must have all of a message when it comes to the descriptors, and it looks at one piece: they go with the end of a
 * long one.
 */
const PIECE_BYTES = 16 << 10;
const NOTHING: Buffer = Buffer.alloc(0);

/** A message; its descriptors belong to whoever takes it. */
export interface VarlinkMessage {
  readonly text: string;
  readonly descriptors: Fd[];
  /** How many bytes of the socket are left to whoever receives its descriptors; 0 where it brought none, or has them. */
  readonly left: number;
}

export interface VarlinkStreamHandlers {
  /** A message's text; its descriptors belong to the handler. */
  message?(text: string, descriptors: Fd[]): void;
  /** Several whole messages without descriptors, each with its NUL. False: they are to be given one by one. */
  messages?(bytes: Buffer): boolean;
  /** In place of `message`: something has come, which is to be taken with `next()`, now or later. */
  readable?(): void;
  /** All that was sent has left. */
  drain?(): void;
  /** The peer sends nothing more, but may still read. */
  readEnd?(): void;
  /** The peer is gone, while something that it sent has not been taken. */
  hangup?(): void;
  /** Once, when the connection is over. */
  end(error?: Error): void;
}

interface VarlinkStreamOptions {
  /** A longer message ends the connection. */
  readonly messageLimitBytes?: number;
}

/** The bytes of messages that are sent in one piece. */
export function encodeMessages(texts: readonly string[]): Buffer {
  return Buffer.from(texts.map((text) => `${text}\0`).join(""));
}

/** The socket below the messages: SocketStream, or anything that does the same. */
export type ByteStream = Pick<
  SocketStream,
  "write" | "pause" | "resume" | "finish" | "close" | "queuedBytes" | "takesMore"
> &
  Partial<Pick<SocketStream, "receiveLeft">>;

export class VarlinkStream {
  readonly #socket: ByteStream;
  readonly #handlers: VarlinkStreamHandlers;
  readonly #messageLimitBytes: number;
  /** What was read last, as far as it has not been taken, and the descriptors that came with it. */
  #chunk: Buffer | null = null;
  #at = 0;
  #arrived: Fd[] = [];
  /** The length of the chunk where the descriptors that came with it stay in the socket, with its bytes. */
  #left = 0;
  /** Where in the chunk the message begins whose descriptors they are. */
  #owner = 0;
  /** The beginning of a message whose end is in none of the chunks before. */
  #partial: Buffer = NOTHING;
  #size = 0;
  #descriptors: Fd[] = [];
  #ended = false;

  /** `open` makes the socket's stream, which is ended with this one. */
  constructor(
    open: (handlers: StreamHandlers) => ByteStream,
    handlers: VarlinkStreamHandlers,
    options: VarlinkStreamOptions = {},
  ) {
    this.#handlers = handlers;
    this.#messageLimitBytes = options.messageLimitBytes ?? MESSAGE_LIMIT_BYTES;
    this.#socket = open({
      data: (bytes, fds) => this.#receive(bytes, fds),
      left: (bytes) => {
        this.#left = bytes.length;
        this.#receive(bytes, []);
      },
      end: (error) => this.#end(error),
      readEnd: () => this.#readEnd(),
      drain: () => handlers.drain?.(),
      ...(handlers.hangup === undefined ? {} : { hangup: () => handlers.hangup?.() }),
    });
  }

  get isOpen(): boolean {
    return !this.#ended;
  }

  /** Memory that waits to be taken, or to be sent. */
  get heldBytes(): number {
    return this.#partial.length + (this.#chunk === null ? 0 : this.#chunk.length - this.#at) + this.#socket.queuedBytes;
  }

  /** Whether the peer takes what it is sent. */
  get takesMore(): boolean {
    return this.#socket.takesMore;
  }

  /** Sends messages in one piece; takes the descriptors, which go with the first. */
  send(texts: readonly string[], descriptors: readonly Fd[] = []): void {
    if (this.#ended) closeAll(descriptors);
    else this.sendEncoded(encodeMessages(texts), descriptors);
  }

  /** Sends messages as `encodeMessages()` returns them; the same otherwise. */
  sendEncoded(bytes: Uint8Array, descriptors: readonly Fd[] = []): void {
    const plain = descriptors.length === 0 ? 0 : Math.max(0, bytes.length - PIECE_BYTES);
    if (plain > 0) this.#socket.write(bytes.subarray(0, plain));
    this.#socket.write(bytes.subarray(plain), descriptors);
    if (this.#socket.queuedBytes > QUEUE_LIMIT_BYTES) this.#fail("peer does not read its messages");
  }

  /** The next message, or null when none is there yet: then `readable` is called again. */
  next(): VarlinkMessage | null {
    const chunk = this.#chunk;
    if (chunk === null || this.#ended) return null;
    const end = chunk.indexOf(0, this.#at);
    const areIts = this.#at === this.#owner || end < 0;
    if (areIts && this.#arrived.length > 0) this.#descriptors.push(...this.#arrived.splice(0));
    if (end < 0 && this.#left > 0) {
      this.#fail(`descriptors came with a piece of ${this.#left} bytes that does not end a message`);
      return null;
    }
    const left = areIts ? this.#left : 0;
    const part = chunk.subarray(this.#at, end < 0 ? chunk.length : end);
    this.#at += part.length + 1;
    if (this.#at >= chunk.length) this.#readOn();
    return end < 0 ? this.#keep(part) : this.#complete(part, left);
  }

  /** Receives the descriptors of a message that were left, at most `most` (else `EXFULL`). */
  receiveLeft({ left }: VarlinkMessage, most: number): Fd[] {
    this.#left = 0;
    return this.#socket.receiveLeft?.(left, most) ?? [];
  }

  /** Sends what is queued, then hangs up. */
  finish(): void {
    this.#socket.finish();
  }

  close(error?: Error): void {
    this.#end(error);
  }

  #fail(text: string): void {
    this.#end(new Error(text));
  }

  #readEnd(): void {
    if (this.#size > 0 || this.#handlers.readEnd === undefined) this.#end();
    else this.#handlers.readEnd();
  }

  #receive(bytes: Buffer, fds: Fd[]): void {
    if (this.#ended) {
      closeAll(fds);
      return;
    }
    this.#chunk = bytes;
    this.#at = 0;
    this.#arrived = fds;
    // The kernel glues what was sent apart, but nothing behind what came with descriptors: they belong to the last message
    // that begins here.
    this.#owner = fds.length === 0 && this.#left === 0 ? 0 : bytes.lastIndexOf(0, bytes.length - 2) + 1;
    if (this.#handlers.readable === undefined) this.#deliver();
    else {
      this.#handlers.readable();
      if (this.#chunk !== null) this.#socket.pause();
    }
  }

  #deliver(): void {
    const isPlain = this.#arrived.length === 0 && this.#descriptors.length === 0;
    if (isPlain && this.#size === 0 && this.#handlers.messages !== undefined) this.#deliverMany();
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
    if (this.#size + part.length > this.#messageLimitBytes) this.#tooLong();
    else this.#append(part);
    return null;
  }

  /** In one buffer: a message that comes byte by byte takes no more room than one that comes at once. */
  #append(part: Buffer): void {
    if (this.#size + part.length > this.#partial.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(256, 2 * this.#partial.length, this.#size + part.length));
      this.#partial.copy(larger, 0, 0, this.#size);
      this.#partial = larger;
    }
    part.copy(this.#partial, this.#size);
    this.#size += part.length;
  }

  #complete(last: Buffer, left: number): VarlinkMessage | null {
    let bytes = last;
    if (this.#size + last.length > this.#messageLimitBytes) return this.#tooLong();
    if (this.#size > 0) {
      this.#append(last);
      bytes = this.#partial.subarray(0, this.#size);
      this.#partial = NOTHING;
      this.#size = 0;
    }
    if (!isUtf8(bytes)) {
      this.#fail("message is not UTF-8");
      return null;
    }
    const descriptors = this.#descriptors;
    this.#descriptors = [];
    return { text: bytes.toString(), descriptors, left };
  }

  #tooLong(): null {
    this.#fail(`message is longer than ${this.#messageLimitBytes >> 10} KiB`);
    return null;
  }

  #end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.close();
    closeAll(this.#descriptors.splice(0));
    closeAll(this.#arrived.splice(0));
    this.#chunk = null;
    this.#partial = NOTHING;
    this.#size = 0;
    this.#handlers.end(error);
  }
}

function closeAll(descriptors: readonly Fd[]): void {
  for (const fd of descriptors) fd.close();
}
