// The sources of an image's bytes, in chunks. A source that cannot be read without waiting (a pipe) is read on another
// thread, so that the program still handles signals.
import { read as readAsync } from "node:fs";
import { promisify } from "node:util";
import { ErrnoError } from "../../base/error.ts";
import { Turns } from "../../base/turns.ts";
import { type Fd, kindOfFd } from "../../kernel/file/fd.ts";
import { widenPipe } from "../../kernel/process/pipe.ts";
import { CHUNK, endLoan, giveBack, lendChunk, lendChunkInParts } from "./chunk-memory.ts";

export type Chunks = AsyncIterable<Buffer>;

/** How long work may continue before it yields. */
const TURN_MS = 1;

const readLater = promisify(readAsync);

/** Yields to signals, timers and worker threads at intervals. */
export function workerTurns(): Turns {
  return new Turns(TURN_MS);
}

const NOT_NOW_MS = 2;

/** Repeats `attempt` while a non-blocking descriptor, which some callers pass, has no data or no room. */
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

/** Returns the content of a file from its offset on, or of a pipe, in chunks that are not changed afterwards. */
export async function* readChunks(file: Fd, onRead?: (total: number) => void): AsyncGenerator<Buffer> {
  const source = kindOfFd(file) === "regular" ? readFile(file) : readPipe(file);
  let total = 0;
  for await (const chunk of source) {
    total += chunk.length;
    onRead?.(total);
    yield chunk;
  }
}

/** Reads the next chunk on another thread while the present one is used. */
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
    // The descriptor may be closed after this, and its number may be given to another file.
    await next.then(giveBack, () => {});
  }
}

/** A program writes small pieces: waiting a little for further ones takes less time than handling each. */
const PIECES_MS = 2;
const SMALL = 256 << 10;
const SOCKET_BYTES = 64 << 10;

/** A piece as large as half the pipe means that the writer waits for the reader. */
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

/** Returns the same chunks. Throws EFBIG when they have more bytes than the limit. */
export async function* limited(source: Chunks, limitBytes: number): AsyncGenerator<Buffer> {
  let total = 0;
  for await (const chunk of source) {
    total += chunk.length;
    if (total > limitBytes) throw new ErrnoError("EFBIG", "File overly large, refusing.");
    yield chunk;
  }
}
