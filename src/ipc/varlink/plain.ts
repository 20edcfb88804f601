// Connections to Varlink services for calls without descriptors, through the engine's own sockets. Loading the kernel
// layer would take longer than the whole call that requests a list.
import type { Socket } from "bun";
import type { StreamHandlers } from "../../kernel/socket/stream.ts";
import { VarlinkClient } from "./client.ts";
import type { ByteStream } from "./stream.ts";

/** Connects to a Varlink socket. Throws an error with a code (ENOENT, ECONNREFUSED …). */
export async function connectPlainVarlink(path: string): Promise<VarlinkClient> {
  // Set before any data can arrive: both happen in this turn.
  let handlers: StreamHandlers | null = null;
  let stream: PlainStream | null = null;
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
  return new VarlinkClient((given) => {
    handlers = given;
    stream = new PlainStream(socket);
    return stream;
  });
}

class PlainStream implements ByteStream {
  readonly #socket: Socket;
  #rest = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
  }

  get queuedBytes(): number {
    return this.#rest.length;
  }

  get takesMore(): boolean {
    return this.#rest.length === 0;
  }

  write(bytes: Uint8Array): void {
    this.#rest = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    this.flush();
  }

  flush(): void {
    if (this.#rest.length > 0) this.#rest = this.#rest.subarray(Math.max(this.#socket.write(this.#rest), 0));
  }

  pause(): void {
    this.#socket.pause();
  }

  resume(): void {
    this.#socket.resume();
  }

  finish(): void {
    this.#socket.end();
  }

  close(): void {
    this.#socket.terminate();
  }
}
