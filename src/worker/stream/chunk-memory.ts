// A pool of memory for chunks of files. Allocating costs about as much as the work on a chunk, so a chunk that its last
// user returns is used again.

export const CHUNK = 1 << 20;
const SPARE_LIMIT = 4;

const spare: Buffer[] = [];

interface Loan {
  /** The chunk to reuse; null for memory that is only freed. */
  readonly chunk: Buffer | null;
  /** Parts are used in order: when the one that ends here or later is returned, the whole chunk is. */
  lastEnd: number;
}

const loans = new WeakMap<ArrayBufferLike, Loan>();

function lend(lastEnd: number): Buffer {
  const chunk = spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK);
  loans.set(chunk.buffer, { chunk, lastEnd });
  return chunk;
}

/** Lends a block of CHUNK bytes of undefined content. Returning any part of it returns all of it. */
export function lendChunk(): Buffer {
  return lend(0);
}

/**
 * As `lendChunk()`, for users of one part after the other: the block is lent until the part that `endLoan()` names is
 * returned.
 */
export function lendChunkInParts(): Buffer {
  return lend(Number.POSITIVE_INFINITY);
}

/** Declares that `part` is the last one of its chunk that will be used. */
export function endLoan(part: Buffer): void {
  const loan = loans.get(part.buffer);
  if (loan !== undefined) loan.lastEnd = endOf(part);
}

/** For memory whose parts are used in order: `giveBack()` of the part that reaches its end frees all of it at once. */
export function freeAtItsEnd(part: Buffer): void {
  if (endOf(part) === part.buffer.byteLength) loans.set(part.buffer, { chunk: null, lastEnd: part.buffer.byteLength });
}

function endOf(part: Buffer): number {
  return part.byteOffset + part.length;
}

/** Returns a chunk, or part of one, that is no longer used. Other memory is ignored. */
export function giveBack(part: Buffer): void {
  const loan = loans.get(part.buffer);
  if (loan === undefined || endOf(part) < loan.lastEnd) return;
  loans.delete(part.buffer);
  if (loan.chunk === null) (part.buffer as ArrayBuffer).transfer(0);
  else if (spare.length < SPARE_LIMIT) spare.push(loan.chunk);
}
