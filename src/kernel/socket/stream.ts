// A stream socket as an object: bytes in as callbacks, bytes out in order, descriptors with both. It holds no more than
// one read's bytes; what is queued for sending is the owner's to limit (`queuedBytes`).

import { type Ready, type Watch, watch } from "../event/poller.ts";
import type { Fd } from "../file/fd.ts";
import { pinForever } from "../syscall/mem.ts";
import { SyscallError } from "../syscall/sys.ts";
import { MAX_FDS } from "./message-header.ts";
import { type Received, receiveBytes, receiveLeft, receiveMessage } from "./receive.ts";
import { sendPinned } from "./send.ts";

export interface StreamHandlers {
  /** Bytes arrived, with the descriptors that came with them. Both belong to the handler. */
  data(bytes: Buffer, fds: Fd[]): void;
  /** The stream is over, for whatever reason: finished by the peer, failed, or closed by us. Called exactly once. */
  end(error?: Error): void;
  /** All that was queued has been sent. */
  drain?(): void;
  /** The peer sends no more but may still read. Without this handler the stream ends once its queue is sent. */
  readEnd?(): void;
  /**
   * The peer has closed its end while reading is paused: bytes that it sent before may still be there, but nobody takes
   * an answer. Without this handler the stream ends.
   */
  hangup?(): void;
  /**
   * Bytes are there that descriptors came with. Both stay in the socket, and nothing more is read, until they are received:
   * with the stream's `receiveLeft()`, or by another process that has the socket, with the function of that name. Without
   * this handler such bytes end the stream, unless descriptors are taken.
   */
  left?(bytes: Buffer): void;
}

interface StreamOptions {
  /**
   * So many descriptors may come with one message; more end the stream with `EXFULL`. Whoever takes some must trust the peer: a
   * file whose file system does not answer when it is closed keeps every child that is started meanwhile from executing its
   * program. By default none is taken.
   */
  readonly takesDescriptors?: number;
}

interface Chunk {
  readonly bytes: Uint8Array;
  fds: readonly Fd[];
  sent: number;
}

/** A busy peer is read this often in one turn of the loop, and this much, then others get theirs. */
const READS_PER_TURN = 64;
const BYTES_PER_TURN = 256 * 1024;
/** Who writes more than this in one turn waits until it is sent. */
const ENOUGH_BYTES = 64 * 1024;
const incoming = pinForever(64 * 1024);
const outgoing = pinForever(256 * 1024);

type State = "open" | "finishing" | "closed";

/** Owns its socket and closes it at the end. */
export class SocketStream implements Disposable {
  readonly fd: Fd;
  readonly #handlers: StreamHandlers;
  readonly #takesDescriptors: number;
  readonly #watch: Watch;
  readonly #queue: Chunk[] = [];
  #queuedBytes = 0;
  #corks = 0;
  #flushIsPlanned = false;
  #readIsPlanned = false;
  #isWritable = true;
  #isPaused = false;
  /** Readiness is told once: what was not read because of a pause has to be remembered. */
  #mayHaveMore = false;
  #readEnded = false;
  /** Bytes with descriptors were left where they are: nothing behind them can be read. */
  #hasLeft = false;
  #hasHungUp = false;
  #hangupIsTold = false;
  #state: State = "open";

  constructor(fd: Fd, handlers: StreamHandlers, options: StreamOptions = {}) {
    this.fd = fd;
    this.#handlers = handlers;
    this.#takesDescriptors = options.takesDescriptors ?? 0;
    this.#watch = watch(fd, { read: true, write: true }, (ready) => this.#onReady(ready));
  }

  /** Bytes accepted by `write()` that the kernel has not taken yet. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Whether what is written now goes out at once, as far as is known. */
  get takesMore(): boolean {
    return this.#isWritable && this.#queuedBytes < ENOUGH_BYTES;
  }

  get isOpen(): boolean {
    return this.#state !== "closed";
  }

  /**
   * Queues `bytes`, which must not change until they are sent, with `fds` attached to their first byte. The stream owns
   * the descriptors from here and closes them. All writes of a turn go out together at its end. After the end nothing is
   * sent, and no error thrown. `EINVAL` for descriptors without bytes, or more than 253.
   */
  write(bytes: Uint8Array, fds: readonly Fd[] = []): void {
    const refused = fds.length > MAX_FDS || (fds.length > 0 && bytes.length === 0);
    if (refused || this.#state !== "open") closeAll(fds);
    if (refused) throw new SyscallError("sendmsg", "EINVAL");
    if (this.#state !== "open" || bytes.length === 0) return;
    this.#queue.push({ bytes, fds, sent: 0 });
    this.#queuedBytes += bytes.length;
    this.#planFlush();
  }

  /** Holds writes back until the matching `uncork()`. */
  cork(): void {
    this.#corks++;
  }

  uncork(): void {
    this.#corks = Math.max(0, this.#corks - 1);
    this.#planFlush();
  }

  /** Stops reading: the kernel's buffer fills, and the peer waits. That the peer leaves is noticed all the same. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused || this.#hasLeft) return;
    this.#isPaused = false;
    if (this.#mayHaveMore) this.#planRead();
  }

  /** Receives descriptors that were left, at most `most` (else `EXFULL`), and goes on reading behind their `bytes`. */
  receiveLeft(bytes: number, most: number): Fd[] {
    this.#hasLeft = false;
    this.#mayHaveMore = true;
    try {
      return receiveLeft({ socket: this.fd, bytes }, most);
    } finally {
      this.resume();
    }
  }

  /** Ends the stream after all that is queued was sent. */
  finish(): void {
    if (this.#state !== "open") return;
    this.#state = "finishing";
    this.#corks = 0;
    if (this.#queue.length === 0) this.close();
    else this.#planFlush();
  }

  /** Ends the stream now; what is queued is lost. */
  close(): void {
    this.#end();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #onReady(ready: Ready): void {
    if (ready.write || ready.error) {
      this.#isWritable = true;
      if (this.#corks === 0 && this.#queue.length > 0) this.#flush();
    }
    if (ready.hangup) this.#hasHungUp = true;
    // A planned read comes anyway, and reading now as well would take its turn twice.
    if ((ready.read || ready.hangup || ready.error) && !this.#readIsPlanned) this.#read();
  }

  #planRead(): void {
    if (this.#readIsPlanned || this.#state === "closed") return;
    this.#readIsPlanned = true;
    setImmediate(() => {
      this.#readIsPlanned = false;
      this.#read();
    });
  }

  #read(): void {
    let bytes = 0;
    for (let reads = 0; reads < READS_PER_TURN && bytes < BYTES_PER_TURN; reads++) {
      this.#mayHaveMore = this.#isPaused;
      if (this.#hasHungUp && (this.#isPaused || this.#readEnded)) this.#onHangup();
      if (this.#state !== "open" || this.#isPaused || this.#readEnded) return;
      let received: Received | "again" | "end" | "left";
      try {
        received = this.#receive();
      } catch (error) {
        this.#end(error as Error); // SyscallError only
        return;
      }
      if (received === "again") return;
      // Who has hung up by now is told of at once: no other event will come.
      if (received === "left") continue;
      if (received === "end") {
        this.#onReadEnd();
        return;
      }
      bytes += received.bytes;
      this.#deliver(Buffer.from(incoming.bytes.subarray(0, received.bytes)), received.fds);
    }
    this.#planRead();
  }

  #receive(): Received | "again" | "end" | "left" {
    if (this.#takesDescriptors > 0) return receiveMessage(this.fd, incoming, this.#takesDescriptors);
    const received = receiveBytes(this.fd.number, incoming);
    if (received === "again") return received;
    if (typeof received === "number") return received === 0 ? "end" : { bytes: received, fds: [] };
    if (this.#handlers.left === undefined) throw new SyscallError("recvmsg", "EXFULL");
    this.#hasLeft = true;
    this.#isPaused = true;
    this.#handlers.left(received.left);
    return "left";
  }

  #deliver(bytes: Buffer, fds: Fd[]): void {
    let delivered = false;
    try {
      this.#handlers.data(bytes, fds);
      delivered = true;
    } finally {
      // The error goes to the poller, and nothing would announce the bytes that are still there.
      if (!delivered) this.#planRead();
    }
  }

  /** What was sent before is read first; then, or when nobody reads, the stream is over. */
  #onHangup(): void {
    if (this.#readEnded || this.#handlers.hangup === undefined) this.#end();
    else if (!this.#hangupIsTold) {
      this.#hangupIsTold = true;
      this.#handlers.hangup();
    }
  }

  #onReadEnd(): void {
    this.#readEnded = true;
    if (this.#handlers.readEnd) this.#handlers.readEnd();
    else this.finish();
    if (this.#hasHungUp) this.#end();
  }

  /** A microtask later, so that all that one message causes is sent with one system call. */
  #planFlush(): void {
    if (this.#flushIsPlanned || !this.#isWritable || this.#corks > 0) return;
    this.#flushIsPlanned = true;
    queueMicrotask(() => {
      this.#flushIsPlanned = false;
      if (this.#corks === 0 && this.#queue.length > 0) this.#flush();
    });
  }

  #flush(): void {
    try {
      while (this.#isWritable && this.#queue.length > 0) this.#sendBatch();
    } catch (error) {
      this.#end(error as Error); // sendPinned() throws SyscallError only
      return;
    }
    if (this.#queue.length > 0 || this.#state === "closed") return;
    if (this.#state === "finishing") this.close();
    else this.#handlers.drain?.();
  }

  /** Sends the head of the queue, and as many chunks behind it as carry no descriptors and fit. */
  #sendBatch(): void {
    const fds = this.#queue[0]?.fds ?? [];
    let size = 0;
    for (const [index, chunk] of this.#queue.entries()) {
      const room = outgoing.size - size;
      if (room === 0 || (index > 0 && chunk.fds.length > 0)) break;
      const part = chunk.bytes.subarray(chunk.sent, chunk.sent + room);
      outgoing.bytes.set(part, size);
      size += part.length;
    }
    const sent = sendPinned(this.fd, outgoing, size, fds);
    if (sent < size) this.#isWritable = false;
    if (sent > 0) this.#consume(sent);
  }

  #consume(sent: number): void {
    this.#queuedBytes -= sent;
    let rest = sent;
    let done = 0;
    for (const chunk of this.#queue) {
      closeAll(chunk.fds);
      chunk.fds = [];
      const taken = Math.min(rest, chunk.bytes.length - chunk.sent);
      chunk.sent += taken;
      rest -= taken;
      if (chunk.sent < chunk.bytes.length) break;
      done++;
      if (rest === 0) break;
    }
    this.#queue.splice(0, done);
  }

  #end(error?: Error): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#watch.stop();
    for (const chunk of this.#queue) closeAll(chunk.fds);
    this.#queue.length = 0;
    this.#queuedBytes = 0;
    this.fd.close();
    this.#handlers.end(error);
  }
}

function closeAll(fds: readonly Fd[]): void {
  for (const fd of fds) fd.close();
}
