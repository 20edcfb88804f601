// Passes chunks through one of Node's compression streams, with limited buffers.
import type { Transform } from "node:stream";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import type { Chunks } from "./archive.ts";
import { freeAtItsEnd, giveBack } from "./chunk-memory.ts";

/** The size of a chunk of output. */
export const OUTPUT_CHUNK = 1 << 20;
/** How many chunks of output may wait: the stream's thread works while they are used. */
const WAITING_LIMIT = 4;

/** Returns the output of `stream` for the input `source`. Throws EBADMSG when the stream refuses its input. */
export async function* transform(source: Chunks, stream: Transform, name: string): AsyncGenerator<Buffer> {
  const waiting: Buffer[] = [];
  let wake: () => void = () => {};
  let isDone = false;
  let failure: Error | null = null;
  stream.on("data", (chunk: Buffer) => {
    // The stream fills a block of memory piece by piece and then does not use it again.
    freeAtItsEnd(chunk);
    waiting.push(chunk);
    if (waiting.length >= WAITING_LIMIT) stream.pause();
    wake();
  });
  stream.on("end", () => {
    isDone = true;
    wake();
  });
  stream.on("error", (error) => {
    failure ??= toFailure(error, name);
    wake();
  });
  const fed = feed(source, stream).catch((error: unknown) => {
    failure ??= error instanceof Error ? error : new Error(String(error));
    wake();
  });
  try {
    for (;;) {
      const chunk = waiting.shift();
      if (chunk !== undefined) {
        if (waiting.length < WAITING_LIMIT && stream.isPaused()) stream.resume();
        yield chunk;
      } else if (failure !== null) {
        throw failure;
      } else if (isDone) {
        await fed;
        return;
      } else {
        const { promise, resolve } = Promise.withResolvers<void>();
        wake = resolve;
        await promise;
      }
    }
  } finally {
    stream.destroy();
  }
}

async function feed(source: Chunks, stream: Transform): Promise<void> {
  let goOn: () => void = () => {};
  for (const event of ["drain", "error", "close"]) stream.on(event, () => goOn());
  for await (const chunk of source) {
    if (stream.destroyed) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    goOn = resolve;
    if (!stream.write(chunk, () => giveBack(chunk))) await promise;
  }
  stream.end();
}

function toFailure(error: Error, name: string): Error {
  if (errnoNameOf(error) !== null) return error;
  return new ErrnoError("EBADMSG", `Compressed data (${name}) is damaged or truncated`, { cause: error });
}
