// Reads the maps of sparse files in tar archives, in the four formats of GNU tar: the old header type "S", and pax 0.0,
// 0.1 and 1.0 ("The GNU tar manual, Storing Sparse Files"). A map must have its pieces in order inside the file, and
// their sum must be the size of the data.
import type { ByteFeed, Parse } from "../stream/feed.ts";
import { damaged } from "../stream/feed.ts";
import { BLOCK, fileSize, number } from "./header.ts";
import { type PaxRecords, paxName, paxNumber } from "./pax.ts";

export interface SparsePiece {
  readonly offset: number;
  readonly length: number;
}

export interface SparseMap {
  /** The size of the file in bytes, holes included. */
  readonly size: number;
  /** Offset and length of each piece alternately, in a typed array because there may be a million. */
  readonly pieces: Float64Array;
  /** Bytes of the map itself in front of the data (format 1.0). */
  readonly mapBytes: number;
}

const PIECES_LIMIT = 1 << 20;

/** Yields the pieces of a map. */
export function* piecesOf({ pieces }: SparseMap): Generator<SparsePiece> {
  for (let at = 0; at < pieces.length; at += 2) {
    yield { offset: pieces[at] as number, length: pieces[at + 1] as number };
  }
}

/** A growing array of numbers. */
class Numbers {
  #room = new Float64Array(1024);
  length = 0;

  push(number: number): void {
    if (this.length === this.#room.length) {
      const larger = new Float64Array(2 * this.length);
      larger.set(this.#room);
      this.#room = larger;
    }
    this.#room[this.length++] = number;
  }

  get all(): Float64Array {
    return this.#room.subarray(0, this.length);
  }
}

/** Returns the map; throws EBADMSG unless it is valid and fits `dataBytes` of data. */
function checkMap(map: SparseMap, dataBytes: number): SparseMap {
  let end = 0;
  let total = 0;
  for (const { offset, length } of piecesOf(map)) {
    if (offset < end || length < 0 || !Number.isSafeInteger(offset + length)) throw damaged("overlapping sparse map");
    end = offset + length;
    total += length;
  }
  if (end > map.size || total + map.mapBytes !== dataBytes) throw damaged("sparse map does not fit the data");
  return map;
}

const OLD_REAL_SIZE_AT = 483;

/** Reads the map of a header of type "S", and of the blocks that continue it. */
export function* readOldSparse(header: Buffer, dataBytes: number, feed: ByteFeed): Parse<SparseMap> {
  const size = fileSize(number(header, OLD_REAL_SIZE_AT, 12, "sparse size"));
  const numbers = new Numbers();
  readTable(header, 386, 4, numbers);
  let isContinued = header[482] !== 0;
  while (isContinued) {
    const block = yield* feed.take(BLOCK);
    readTable(block, 0, 21, numbers);
    isContinued = block[504] !== 0;
    if (numbers.length > 2 * PIECES_LIMIT) throw damaged("sparse map too long");
  }
  return checkMap({ size, pieces: numbers.all, mapBytes: 0 }, dataBytes);
}

function readTable(block: Buffer, from: number, count: number, numbers: Numbers): void {
  for (let at = from; at < from + count * 24; at += 24) {
    if (block[at] === 0) return;
    numbers.push(fileSize(number(block, at, 12, "sparse offset")));
    numbers.push(fileSize(number(block, at + 12, 12, "sparse length")));
  }
}

/** Returns whether extended headers announce a sparse file. */
export function isPaxSparse(records: PaxRecords): boolean {
  return records.has("GNU.sparse.major") || records.has("GNU.sparse.map") || records.has("GNU.sparse.size");
}

/** Reads the map that extended headers announce; in format 1.0 it is in front of the data. */
export function* readPaxSparse(records: PaxRecords, dataBytes: number, feed: ByteFeed): Parse<SparseMap> {
  const major = paxNumber(records, "GNU.sparse.major") ?? 0;
  const minor = paxNumber(records, "GNU.sparse.minor") ?? 0;
  const size = fileSize(paxNumber(records, "GNU.sparse.realsize") ?? paxNumber(records, "GNU.sparse.size") ?? 0);
  if (major === 1 && minor === 0) return checkMap(yield* readMapInData(size, dataBytes, feed), dataBytes);
  if (major !== 0) throw damaged(`unknown sparse format ${major}.${minor}`);
  const text = paxName(records, "GNU.sparse.map") ?? "";
  const numbers = text === "" ? [] : text.split(",").map(toNumber);
  return checkMap({ size, pieces: checked(new Float64Array(numbers)), mapBytes: 0 }, dataBytes);
}

function toNumber(text: string): number {
  if (!/^\d{1,16}$/.test(text)) throw damaged("bad sparse map");
  return fileSize(Number(text));
}

function checked(numbers: Float64Array): Float64Array {
  if (numbers.length % 2 !== 0 || numbers.length > 2 * PIECES_LIMIT) throw damaged("bad sparse map");
  return numbers;
}

/** Reads a map of format 1.0: decimal lines, first the number of pieces, padded to a whole block. */
function* readMapInData(size: number, dataBytes: number, feed: ByteFeed): Parse<SparseMap> {
  const numbers = new Numbers();
  let rest = "";
  let mapBytes = 0;
  let wanted = Number.POSITIVE_INFINITY;
  while (numbers.length < wanted) {
    mapBytes += BLOCK;
    if (mapBytes > dataBytes) throw damaged("sparse map longer than its member");
    const lines = (rest + (yield* feed.take(BLOCK)).toString("latin1")).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (numbers.length >= wanted) break;
      if (wanted === Number.POSITIVE_INFINITY) wanted = toNumber(line) * 2;
      else numbers.push(toNumber(line));
    }
    if (rest.length > BLOCK && numbers.length < wanted) throw damaged("bad sparse map");
    if (wanted !== Number.POSITIVE_INFINITY && wanted > 2 * PIECES_LIMIT) throw damaged("sparse map too long");
  }
  return { size, pieces: checked(numbers.all), mapBytes };
}
