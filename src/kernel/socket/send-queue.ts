// The bytes of a stream socket that wait to be sent, with their descriptors.
import type { Fd } from "../file/fd.ts";
import { pinForever } from "../syscall/mem.ts";
import { sendPinned } from "./send.ts";

interface Chunk {
  readonly bytes: Uint8Array;
  fds: readonly Fd[];
  sent: number;
}

const outgoing = pinForever(256 * 1024);

/** A queue in the order of `add()`. It owns its descriptors, and closes each when it is sent or discarded. */
export class SendQueue {
  readonly #socket: Fd;
  readonly #chunks: Chunk[] = [];
  #bytes = 0;
  /** False after the socket took less than was sent; the owner sets it when the socket is writable again. */
  isWritable = true;

  /** The caller still owns `socket`. */
  constructor(socket: Fd) {
    this.#socket = socket;
  }

  /** The number of bytes that were added but not sent yet. */
  get bytes(): number {
    return this.#bytes;
  }

  get isEmpty(): boolean {
    return this.#chunks.length === 0;
  }

  /**
   * Adds bytes, which must not change until they are sent, with descriptors at their first byte. Takes ownership of
   * `fds`.
   */
  add(bytes: Uint8Array, fds: readonly Fd[]): void {
    this.#chunks.push({ bytes, fds, sent: 0 });
    this.#bytes += bytes.length;
  }

  /** Sends as much as the socket takes. Throws SyscallError. */
  send(): void {
    while (this.isWritable && this.#chunks.length > 0) this.#sendBatch();
  }

  /** Drops all bytes, and closes their descriptors. */
  discard(): void {
    for (const chunk of this.#chunks) closeAll(chunk.fds);
    this.#chunks.length = 0;
    this.#bytes = 0;
  }

  /** Sends the first chunk of the queue, with following chunks that have no descriptors, as far as they fit. */
  #sendBatch(): void {
    const fds = this.#chunks[0]?.fds ?? [];
    let size = 0;
    for (const [index, chunk] of this.#chunks.entries()) {
      const room = outgoing.size - size;
      if (room === 0 || (index > 0 && chunk.fds.length > 0)) break;
      const part = chunk.bytes.subarray(chunk.sent, chunk.sent + room);
      outgoing.bytes.set(part, size);
      size += part.length;
    }
    const sent = sendPinned(this.#socket, outgoing, size, fds);
    if (sent < size) this.isWritable = false;
    if (sent > 0) this.#consume(sent);
  }

  /** Removes sent bytes from the queue, and closes the descriptors that were sent with them. */
  #consume(sent: number): void {
    this.#bytes -= sent;
    let rest = sent;
    let done = 0;
    for (const chunk of this.#chunks) {
      closeAll(chunk.fds);
      chunk.fds = [];
      const taken = Math.min(rest, chunk.bytes.length - chunk.sent);
      chunk.sent += taken;
      rest -= taken;
      if (chunk.sent < chunk.bytes.length) break;
      done++;
      if (rest === 0) break;
    }
    this.#chunks.splice(0, done);
  }
}

/** Closes descriptors. */
export function closeAll(fds: readonly Fd[]): void {
  for (const fd of fds) fd.close();
}
