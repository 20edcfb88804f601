// Where the bytes of an image come from, in chunks. A source that cannot be read without
// waiting (a pipe) is read on a thread of its own, so that the program still hears signals.
import { read as readAsync } from "node:fs";
import { promisify } from "node:util";
import { ErrnoError } from "../../base/error.ts";
import { type Fd, kindOfFd } from "../../kernel/file/fd.ts";
import { widenPipe } from "../../kernel/process/pipe.ts";
import { CHUNK, endLoan, giveBack, lendChunk, lendChunkInParts } from "./chunk-memory.ts";

export type Chunks = AsyncIterable<Buffer>;

/** How long work may go on before it yields to signals, timers and worker threads. */
const TURN_MS = 1;

const readLater = promisify(readAsync);

/** Lets everything else that waits have its turn, when it is time for that. */
export class Turns {
  #since = performance.now();

  async pass(): Promise<void> {
    if (performance.now() - this.#since < TURN_MS) return;
    await new Promise<void>((resolve) => setImmediate(resolve));
    this.#since = performance.now();
  }
}

const NOT_NOW_MS = 2;

/** Repeats `attempt` while a descriptor that does not wait, as some callers give us, has nothing or no room. */
export async function patiently<T>(attempt: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      await Bun.sleep(NOT_NOW_MS);
    }
  }
}

/** The content of a file from where it stands, or of a pipe, in chunks that stay as they are. */
export async function* readChunks(file: Fd, onRead?: (total: number) => void): AsyncGenerator<Buffer> {
  const source = kindOfFd(file) === "regular" ? readFile(file) : readPipe(file);
  let total = 0;
  for await (const chunk of source) {
    total += chunk.length;
    onRead?.(total);
    yield chunk;
  }
}

/** Reads the next chunk on another thread while one is being used. */
async function* readFile(file: Fd): AsyncGenerator<Buffer> {
  const readNext = async () => {
    const chunk = lendChunk();
    const { bytesRead } = await readLater(file.number, chunk, 0, CHUNK, null);
    return chunk.subarray(0, bytesRead);
  };
  let next = readNext();
  try {
    for (;;) {
      const chunk = await next;
      if (chunk.length === 0) return;
      next = readNext();
      next.catch(() => {}); // It is reported where it is awaited.
      yield chunk;
    }
  } finally {
    // The descriptor may be closed after this, and its number be another file's.
    await next.then(giveBack, () => {});
  }
}

/** What a program writes comes in small pieces: waiting a little for more of them costs less than looking at each. */
const PIECES_MS = 2;
const SMALL = 256 << 10;
const SOCKET_BYTES = 64 << 10;

/** A piece as large as half the pipe shows a writer that waits for us. */
async function* readPipe(file: Fd): AsyncGenerator<Buffer> {
  const small = Math.min(SMALL, (widenPipe(file) ?? SOCKET_BYTES) / 2);
  let room = lendChunkInParts();
  for (;;) {
    const { bytesRead } = await patiently(() => readLater(file.number, room, 0, room.length, null));
    if (bytesRead === 0) return;
    const part = room.subarray(0, bytesRead);
    const isFull = bytesRead > room.length - SMALL;
    if (isFull) endLoan(part);
    room = isFull ? lendChunkInParts() : room.subarray(bytesRead);
    yield part;
    if (bytesRead < small) await Bun.sleep(PIECES_MS);
  }
}

/** The same chunks. EFBIG when there are more bytes than that. */
export async function* limited(source: Chunks, limitBytes: number): AsyncGenerator<Buffer> {
  let total = 0;
  for await (const chunk of source) {
    total += chunk.length;
    if (total > limitBytes) throw new ErrnoError("EFBIG", "File overly large, refusing.");
    yield chunk;
  }
}
