// A pool of memory for chunks of files. Allocating costs about as much as the work on a chunk, so a chunk that its last user
// returns is used again.

export const CHUNK = 1 << 20;
const SPARE_LIMIT = 4;

const spare: Buffer[] = [];

interface Loan {
  /** What is filled again; null for memory that is only freed. */
  readonly chunk: Buffer | null;
  /** Parts are used one after the other: with the one that ends here or behind it, all is given back. */
  lastEnd: number;
}

const loans = new WeakMap<ArrayBufferLike, Loan>();

function lend(lastEnd: number): Buffer {
  const chunk = spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK);
  loans.set(chunk.buffer, { chunk, lastEnd });
  return chunk;
}

/** A block of CHUNK bytes with anything in it. Any part of it that is given back gives back all of it. */
export function lendChunk(): Buffer {
  return lend(0);
}

/** The same for users of one part after the other: it is lent until the part is given back that `endLoan()` names. */
export function lendChunkInParts(): Buffer {
  return lend(Number.POSITIVE_INFINITY);
}

/** Says that `part` is the last that will be used of its chunk. */
export function endLoan(part: Buffer): void {
  const loan = loans.get(part.buffer);
  if (loan !== undefined) loan.lastEnd = endOf(part);
}

/** Has memory that is handed out from its beginning to its end freed with the part that reaches the end, not sometime. */
export function freeAtItsEnd(part: Buffer): void {
  if (endOf(part) === part.buffer.byteLength) loans.set(part.buffer, { chunk: null, lastEnd: part.buffer.byteLength });
}

function endOf(part: Buffer): number {
  return part.byteOffset + part.length;
}

/** Takes back a chunk, or part of one, that nobody looks at any more. Other memory is left alone. */
export function giveBack(part: Buffer): void {
  const loan = loans.get(part.buffer);
  if (loan === undefined || endOf(part) < loan.lastEnd) return;
  loans.delete(part.buffer);
  if (loan.chunk === null) (part.buffer as ArrayBuffer).transfer(0);
  else if (spare.length < SPARE_LIMIT) spare.push(loan.chunk);
}
