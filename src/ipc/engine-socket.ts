// Sockets of the engine, for clients that make a few calls and end: the kernel layer, which sockets of our own need,
// takes longer to load than such a call takes. They pass no descriptors.
import type { Socket } from "bun";
import type { ByteStream, OpenStream, StreamHandlers } from "../kernel/socket/stream.ts";

/**
 * Connects to a unix socket; returns the function that makes the stream on it, to be called in the same turn. Throws an
 * error with a code. That is ENOENT or ECONNREFUSED: the engine reports no other reasons.
 */
export async function connectEngineSocket(path: string): Promise<OpenStream> {
  // Set before any data can arrive: both happen in this turn.
  let handlers: StreamHandlers | null = null;
  let stream: EngineStream | null = null;
  const end = (_socket: unknown, error?: Error) => {
    const told = handlers;
    handlers = null;
    told?.end(error);
  };
  const socket = await Bun.connect({
    unix: path,
    socket: {
      data: (_socket, bytes) => handlers?.data(bytes, []),
      drain: () => stream?.flush(),
      close: end,
      error: end,
    },
  });
  return (given) => {
    handlers = given;
    stream = new EngineStream(socket);
    return stream;
  };
}

class EngineStream implements ByteStream {
  readonly #socket: Socket;
  #rest = Buffer.alloc(0);
  /** Whether the bytes are written at the end of this turn: messages that are sent together are one system call. */
  #isHeld = false;

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get queuedBytes(): number {
    return this.#rest.length;
  }

  get takesMore(): boolean {
    return this.#rest.length === 0;
  }

  write(bytes: Uint8Array, descriptors: readonly Disposable[] = []): void {
    for (const descriptor of descriptors) descriptor[Symbol.dispose]();
    if (descriptors.length > 0) throw new Error("A socket of the engine passes no descriptors");
    this.#rest = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    if (this.#isHeld) return;
    this.#isHeld = true;
    queueMicrotask(() => this.flush());
  }

  flush(): void {
    this.#isHeld = false;
    if (this.#rest.length > 0) this.#rest = this.#rest.subarray(Math.max(this.#socket.write(this.#rest), 0));
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  finish(): void {
    this.flush();
    this.#socket.end();
  }

  close(): void {
    this.flush();
    this.#socket.terminate();
  }
}
