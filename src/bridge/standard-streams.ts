// Standard input and output as one socket, which a D-Bus connection needs; those of ssh(1) are pipes.
import { type Watch, watch } from "../kernel/event/poller.ts";
import { readSome, writeSome } from "../kernel/file/byte-io.ts";
import { copyStandard, type Fd, setNonblocking } from "../kernel/file/fd.ts";
import { SocketStream } from "../kernel/socket/stream.ts";
import { socketPair } from "../kernel/socket/unix.ts";

/** The buffer of each direction; when it is full, the sender waits. */
const HELD_BYTES = 64 * 1024;

/**
 * Copies bytes between the standard streams and the socket that `open()` returned. The end of either side ends both;
 * bytes that were written to the socket before it was closed are still written to standard output.
 */
export class StandardStreams {
  readonly #input: Fd;
  readonly #output: Fd;
  readonly #inner: SocketStream;
  readonly #watches: Watch[] = [];
  readonly #done = Promise.withResolvers<void>();
  #queue: Buffer[] = [];
  #queuedBytes = 0;
  #innerIsOver = false;
  #isOver = false;

  private constructor(inner: Fd) {
    this.#input = copyStandard(0);
    this.#output = copyStandard(1);
    setNonblocking(this.#input);
    setNonblocking(this.#output);
    this.#inner = new SocketStream(inner, {
      data: (bytes) => this.#send(bytes),
      end: () => this.#endInner(),
      drain: () => this.#receive(),
    });
    this.#watches.push(
      watch(this.#input, { read: true, write: false }, () => this.#receive()),
      watch(this.#output, { read: false, write: true }, (ready) => {
        // The reader of standard output has closed it.
        if (ready.error) this.#end();
        else this.#flush();
      }),
    );
  }

  /**
   * Returns the socket, which the caller owns. Throws SyscallError where a stream is a file, which the poller cannot
   * watch.
   */
  static open(): { socket: Fd; streams: StandardStreams } {
    const [inner, socket] = socketPair();
    return { socket, streams: new StandardStreams(inner) };
  }

  /** Resolves when both directions have ended. */
  get done(): Promise<void> {
    return this.#done.promise;
  }

  #receive(): void {
    try {
      while (!this.#isOver && !this.#innerIsOver && this.#inner.queuedBytes < HELD_BYTES) {
        const bytes = readSome(this.#input);
        if (bytes === null) return;
        if (bytes.length === 0) {
          this.#inner.finish();
          return;
        }
        this.#inner.write(bytes);
      }
    } catch {
      this.#end();
    }
  }

  #send(bytes: Buffer): void {
    this.#queue.push(bytes);
    this.#queuedBytes += bytes.length;
    this.#flush();
  }

  #flush(): void {
    try {
      while (this.#queue.length > 0) {
        const [first] = this.#queue as [Buffer];
        const count = writeSome(this.#output, first);
        if (count < 0) break;
        this.#queuedBytes -= count;
        if (count === first.length) this.#queue.shift();
        else this.#queue[0] = first.subarray(count);
      }
    } catch {
      this.#end();
      return;
    }
    if (this.#queuedBytes >= HELD_BYTES) this.#inner.pause();
    else this.#inner.resume();
    if (this.#innerIsOver && this.#queue.length === 0) this.#end();
  }

  #endInner(): void {
    this.#innerIsOver = true;
    if (this.#queue.length === 0) this.#end();
  }

  #end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#queue = [];
    for (const one of this.#watches) one.stop();
    this.#inner.close();
    this.#input.close();
    this.#output.close();
    this.#done.resolve();
  }
}
