// A stream socket: passes received bytes to callbacks, and queues bytes to send, both with descriptors. It buffers
// received bytes of one read at most; the owner must limit the queue for sending (`queuedBytes`).
import { inNextTurn } from "../../base/next-turn.ts";
import { type ReadinessWatch, type Ready, watch } from "../event/poller.ts";
import type { Fd } from "../file/fd.ts";
import { pinForever } from "../syscall/mem.ts";
import { SyscallError } from "../syscall/sys.ts";
import { MAX_FDS } from "./max-fds.ts";
import {
  type Received,
  receiveBytes,
  receiveLeft,
  receiveMessage,
  receivePlain,
  refusesDescriptors,
} from "./receive.ts";
import { closeAll, SendQueue } from "./send-queue.ts";

export interface StreamHandlers {
  /** Called for received bytes and their descriptors, both of which the handler owns. */
  data(bytes: Buffer, fds: Fd[]): void;
  /**
   * Called before `data` for bytes whose descriptors are lost, because this process may open no more. Without this
   * handler they end the stream.
   */
  lost?(): void;
  /**
   * Called exactly once, when the stream has ended: the peer has closed, an error occurred, or `close()` was called.
   */
  end(error?: Error): void;
  /** Called when the whole queue has been sent. */
  drain?(): void;
  /**
   * The peer has shut down sending, but may still read. Without this handler the stream ends when its queue is sent.
   */
  readEnd?(): void;
  /**
   * The peer has closed its socket while reading is paused: bytes that it sent before may still be read, but replies
   * cannot be sent. Without this handler the stream ends.
   */
  hangup?(): void;
  /**
   * Called with a copy of bytes that carry descriptors. They stay in the socket, and nothing more is read, until they
   * are received: by the stream's `receiveLeft()`, or by another process that has the socket, by the function of that
   * name. Without this handler such bytes end the stream, unless `takesDescriptors` is set.
   */
  left?(bytes: Buffer): void;
}

interface StreamOptions {
  /**
   * The limit of descriptors in one message; more end the stream with `EXFULL`. 0 unless given. Only for trusted peers:
   * while a file whose file system does not answer is open, no child that is started can execute its program.
   */
  readonly takesDescriptors?: number;
}

/** The socket below a protocol: a SocketStream, or a stream with the same methods. */
export type ByteStream = Pick<
  SocketStream,
  "write" | "pause" | "resume" | "finish" | "close" | "queuedBytes" | "takesMore"
> &
  Partial<Pick<SocketStream, "receiveLeft">>;

/** Makes the stream on a socket that is connected already; its caller owns the stream. */
export type OpenStream = (handlers: StreamHandlers, options?: StreamOptions) => ByteStream;

/** The limits of reading one stream in one turn of the event loop; then other streams are read. */
const READS_PER_TURN = 64;
const BYTES_PER_TURN = 256 * 1024;
/** With more queued bytes than this, `takesMore` is false. */
const ENOUGH_BYTES = 64 * 1024;
const incoming = pinForever(64 * 1024);

/**
 * Writing is watched for only while the socket takes no more: each message that the peer reads would otherwise be an
 * event.
 */
const READING = { read: true };
const READING_AND_WRITING = { read: true, write: true };

type State = "open" | "finishing" | "closed";

/** Returns a function that makes a SocketStream on `fd`, for protocols that run on other sockets as well. */
export function streamOn(fd: Fd): OpenStream {
  return (handlers, options) => new SocketStream(fd, handlers, options);
}

/** A stream on a connected socket, which it owns and closes at the end, and where it cannot be watched. */
export class SocketStream implements Disposable {
  readonly fd: Fd;
  readonly #handlers: StreamHandlers;
  readonly #takesDescriptors: number;
  /** Whether bytes can be read without a check for descriptors: the peer cannot send any. */
  readonly #isPlain: boolean;
  readonly #watch: ReadinessWatch;
  readonly #queue: SendQueue;
  #corks = 0;
  #flushIsPlanned = false;
  #readIsPlanned = false;
  #isPaused = false;
  /**
   * Bytes may be available that were not read because of a pause; the edge-triggered poller does not report them again.
   */
  #mayHaveMore = false;
  #readEnded = false;
  /** Bytes with descriptors were left in the socket: nothing after them can be read. */
  #hasLeft = false;
  #hasHungUp = false;
  #hangupIsReported = false;
  #state: State = "open";

  constructor(fd: Fd, handlers: StreamHandlers, options: StreamOptions = {}) {
    this.fd = fd;
    this.#queue = new SendQueue(fd);
    this.#handlers = handlers;
    this.#takesDescriptors = options.takesDescriptors ?? 0;
    this.#isPlain = this.#takesDescriptors === 0 && refusesDescriptors(fd.number);
    try {
      this.#watch = watch(fd, READING, (ready) => this.#onReady(ready));
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /** The number of bytes that were written but not sent yet. */
  get queuedBytes(): number {
    return this.#queue.bytes;
  }

  /** Whether bytes that are written now can probably be sent at once: the socket is writable and the queue small. */
  get takesMore(): boolean {
    return this.#queue.isWritable && this.#queue.bytes < ENOUGH_BYTES;
  }

  get isOpen(): boolean {
    return this.#state !== "closed";
  }

  /**
   * Queues `bytes`, which must not change until they are sent, with `fds` attached to their first byte. The stream
   * takes ownership of the descriptors. All writes of a turn are sent together at its end. After the end of the stream
   * writes are ignored. Throws `EINVAL` for descriptors without bytes, or more than 253.
   */
  write(bytes: Uint8Array, fds: readonly Fd[] = []): void {
    const refused = fds.length > MAX_FDS || (fds.length > 0 && bytes.length === 0);
    if (refused || this.#state !== "open") closeAll(fds);
    if (refused) throw new SyscallError("sendmsg", "EINVAL");
    if (this.#state !== "open" || bytes.length === 0) return;
    this.#queue.add(bytes, fds);
    this.#planFlush();
  }

  /** Delays sending until the matching `uncork()`. */
  cork(): void {
    this.#corks++;
  }

  uncork(): void {
    this.#corks = Math.max(0, this.#corks - 1);
    this.#planFlush();
  }

  /** Stops reading, so that the kernel's buffer fills and the peer waits. The peer's hang-up is still noticed. */
  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    if (!this.#isPaused || this.#hasLeft) return;
    this.#isPaused = false;
    if (this.#mayHaveMore) this.#planRead();
  }

  /** Receives left bytes, returns their descriptors (more than `most`: `EXFULL`), and continues to read after them. */
  receiveLeft(bytes: number, most: number): Fd[] {
    this.#hasLeft = false;
    this.#mayHaveMore = true;
    try {
      return receiveLeft({ socket: this.fd, bytes }, most);
    } finally {
      this.resume();
    }
  }

  /** Ends the stream when the queue has been sent. */
  finish(): void {
    if (this.#state !== "open") return;
    this.#state = "finishing";
    this.#corks = 0;
    if (this.#queue.isEmpty) this.close();
    else this.#planFlush();
  }

  /** Ends the stream at once and discards the queue. */
  close(): void {
    this.#end();
  }

  [Symbol.dispose](): void {
    this.close();
  }

  #onReady(ready: Ready): void {
    if (ready.write || ready.error) {
      if (!this.#queue.isWritable) this.#watch.change(READING);
      this.#queue.isWritable = true;
      if (this.#corks === 0 && !this.#queue.isEmpty) this.#flush();
    }
    if (ready.hangup) this.#hasHungUp = true;
    // A planned read will run; reading now too would exceed the limits of a turn.
    if ((ready.read || ready.hangup || ready.error) && !this.#readIsPlanned) {
      this.#read(!ready.readEnd && !ready.hangup && !ready.error);
    }
  }

  #planRead(): void {
    if (this.#readIsPlanned || this.#state === "closed") return;
    this.#readIsPlanned = true;
    inNextTurn(() => {
      this.#readIsPlanned = false;
      this.#read();
    });
  }

  /**
   * Reads what is available. `isOpen`: the peer had not shut down sending when the event came, so that a read from a
   * trusted peer that returns less than it could has returned all. More bytes, or the end, are another event.
   */
  #read(isOpen = false): void {
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
      // The loop reports a hang-up that has happened already, because no further event will.
      if (received === "left") continue;
      if (received === "end") {
        this.#onReadEnd();
        return;
      }
      bytes += received.bytes;
      // A read stops behind bytes with descriptors, also where there are more, and before out-of-band bytes, which only
      // a peer that is not trusted sends.
      const isTrusted = this.#takesDescriptors > 0;
      const isShort = received.bytes < incoming.size && received.fds.length === 0 && !received.areLost;
      const isAll = isOpen && isTrusted && isShort;
      if (received.areLost === true) this.#handlers.lost?.();
      this.#deliver(Buffer.from(incoming.bytes.subarray(0, received.bytes)), received.fds);
      if (isAll) return;
    }
    this.#planRead();
  }

  #receive(): Received | "again" | "end" | "left" {
    if (this.#takesDescriptors > 0) {
      const whenLost = this.#handlers.lost === undefined ? "throw" : "report";
      return receiveMessage(this.fd, incoming, this.#takesDescriptors, whenLost);
    }
    const { number } = this.fd;
    const received = this.#isPlain ? receivePlain(number, incoming) : receiveBytes(number, incoming);
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
      // The handler's error goes to the poller; no event would announce the bytes that are still available.
      if (!delivered) this.#planRead();
    }
  }

  /** Ends the stream after a hang-up, or reports it once where reading is paused and there is a handler. */
  #onHangup(): void {
    if (this.#readEnded || this.#handlers.hangup === undefined) this.#end();
    else if (!this.#hangupIsReported) {
      this.#hangupIsReported = true;
      this.#handlers.hangup();
    }
  }

  #onReadEnd(): void {
    this.#readEnded = true;
    if (this.#handlers.readEnd) this.#handlers.readEnd();
    else this.finish();
    if (this.#hasHungUp) this.#end();
  }

  /** Sends in a microtask, so that all writes that one message causes need one system call. */
  #planFlush(): void {
    if (this.#flushIsPlanned || !this.#queue.isWritable || this.#corks > 0) return;
    this.#flushIsPlanned = true;
    queueMicrotask(() => {
      this.#flushIsPlanned = false;
      if (this.#corks === 0 && !this.#queue.isEmpty) this.#flush();
    });
  }

  #flush(): void {
    try {
      this.#queue.send();
      if (!this.#queue.isWritable) this.#watch.change(READING_AND_WRITING);
    } catch (error) {
      this.#end(error as Error); // SyscallError only
      return;
    }
    if (!this.#queue.isEmpty || this.#state === "closed") return;
    if (this.#state === "finishing") this.close();
    else this.#handlers.drain?.();
  }

  #end(error?: Error): void {
    if (this.#state === "closed") return;
    this.#state = "closed";
    this.#watch.stop();
    this.#queue.discard();
    this.fd.close();
    this.#handlers.end(error);
  }
}
