// Varlink messages on a socket: JSON objects, each ended by one NUL byte; descriptors with the first byte of a message.
import { isUtf8 } from "node:buffer";
import type { Fd } from "../kernel/fd.ts";
import type { SocketStream, StreamHandlers } from "../kernel/socket-stream.ts";

const MESSAGE_LIMIT_BYTES = 16 << 20;
const QUEUE_LIMIT_BYTES = 64 << 20;

export interface VarlinkStreamHandlers {
  /** A message's text; its descriptors belong to the handler. */
  message(text: string, descriptors: Fd[]): void;
  /** Several whole messages without descriptors, each with its NUL. False: they are to be given one by one. */
  messages?(bytes: Buffer): boolean;
  /** The peer sends nothing more, but may still read. */
  readEnd?(): void;
  /** Once, when the connection is over. */
  end(error?: Error): void;
}

/** The bytes of messages that are sent in one piece. */
export function encodeMessages(texts: readonly string[]): Buffer {
  return Buffer.from(texts.map((text) => `${text}\0`).join(""));
}

/** The socket below the messages: SocketStream, or anything that does the same. */
export type ByteStream = Pick<SocketStream, "write" | "pause" | "resume" | "finish" | "close" | "queuedBytes">;

export class VarlinkStream {
  readonly #socket: ByteStream;
  readonly #handlers: VarlinkStreamHandlers;
  #parts: Buffer[] = [];
  #size = 0;
  #descriptors: Fd[] = [];
  #ended = false;

  /** `open` makes the socket's stream, which is ended with this one. */
  constructor(open: (handlers: StreamHandlers) => ByteStream, handlers: VarlinkStreamHandlers) {
    this.#handlers = handlers;
    this.#socket = open({
      data: (bytes, fds) => this.#receive(bytes, fds),
      end: (error) => this.#end(error),
      readEnd: () => this.#readEnd(),
    });
  }

  get isOpen(): boolean {
    return !this.#ended;
  }

  /** Sends messages in one piece; takes the descriptors, which go with the first. */
  send(texts: readonly string[], descriptors: readonly Fd[] = []): void {
    if (this.#ended) {
      for (const fd of descriptors) fd.close();
      return;
    }
    this.sendEncoded(encodeMessages(texts), descriptors);
  }

  /** Sends messages as `encodeMessages()` gives them; the same otherwise. */
  sendEncoded(bytes: Uint8Array, descriptors: readonly Fd[] = []): void {
    this.#socket.write(bytes, descriptors);
    if (this.#socket.queuedBytes > QUEUE_LIMIT_BYTES) this.#fail("peer does not read its messages");
  }

  /** Stops reading until resume(): while a call is being answered the next one waits in the socket. */
  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  /** Sends what is queued, then hangs up. */
  finish(): void {
    this.#socket.finish();
  }

  close(): void {
    this.#end();
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
      for (const fd of fds) fd.close();
      return;
    }
    // The kernel glues what was sent apart, but nothing behind what came with descriptors: they belong to the last message
    // that begins here.
    const owner = fds.length === 0 ? 0 : bytes.lastIndexOf(0, bytes.length - 2) + 1;
    let mayBeMany = fds.length === 0 && this.#descriptors.length === 0 && this.#handlers.messages !== undefined;
    let start = 0;
    for (let end = bytes.indexOf(0); end >= 0; end = bytes.indexOf(0, start)) {
      if (start === owner) this.#descriptors.push(...fds.splice(0));
      const last = mayBeMany && this.#size === 0 ? bytes.lastIndexOf(0) : end;
      if (last > end) mayBeMany = false;
      if (last > end && this.#handlers.messages?.(bytes.subarray(start, last + 1)) === true) end = last;
      else this.#deliver(bytes.subarray(start, end));
      start = end + 1;
      if (!this.#ended) continue;
      for (const fd of fds) fd.close();
      return;
    }
    this.#descriptors.push(...fds);
    if (start === bytes.length) return;
    this.#size += bytes.length - start;
    if (this.#size > MESSAGE_LIMIT_BYTES) this.#fail(`message is longer than ${MESSAGE_LIMIT_BYTES >> 20} MiB`);
    else this.#parts.push(Buffer.from(bytes.subarray(start)));
  }

  #deliver(last: Buffer): void {
    const bytes = this.#parts.length === 0 ? last : Buffer.concat([...this.#parts, last]);
    this.#parts = [];
    this.#size = 0;
    if (!isUtf8(bytes)) {
      this.#fail("message is not UTF-8");
      return;
    }
    const descriptors = this.#descriptors;
    this.#descriptors = [];
    this.#handlers.message(bytes.toString(), descriptors);
  }

  #end(error?: Error): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.close();
    for (const fd of this.#descriptors) fd.close();
    this.#descriptors = [];
    this.#parts = [];
    this.#handlers.end(error);
  }
}
