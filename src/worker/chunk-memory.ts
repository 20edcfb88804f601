// Memory for chunks of files. New memory costs about as much as what is done with it, so a chunk that its last user gives
// back is filled again.

export const CHUNK = 1 << 20;
const SPARE_LIMIT = 4;

const spare: Buffer[] = [];
const lent = new WeakMap<ArrayBufferLike, Buffer>();

/** A block of CHUNK bytes with anything in it. */
export function lendChunk(): Buffer {
  const chunk = spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK);
  lent.set(chunk.buffer, chunk);
  return chunk;
}

/** Takes back a chunk, or part of one, that nobody looks at any more. Other memory is left alone. */
export function giveBack(part: Buffer): void {
  const chunk = lent.get(part.buffer);
  if (chunk === undefined) return;
  lent.delete(part.buffer);
  if (spare.length < SPARE_LIMIT) spare.push(chunk);
}
