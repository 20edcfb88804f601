// Which files with several names a walk through a tree has met, and where: for the hard links of its copy.
import type { Fd } from "../file/fd.ts";
import { SyscallError } from "../syscall/sys.ts";
import type { RawStatus } from "./raw-status.ts";
import { BLOCK_BYTES, Blocks } from "./spill.ts";
import type { RawName } from "./tree.ts";

/** An append-only sequence of bytes that can be read at any position. */
class Log implements Disposable {
  readonly #blocks: Blocks;
  readonly #block = Buffer.alloc(BLOCK_BYTES);
  #end = 0;

  constructor(directory: Fd | null) {
    this.#blocks = new Blocks(directory);
  }

  get end(): number {
    return this.#end;
  }

  append(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const used = this.#end % BLOCK_BYTES;
      const count = bytes.copy(this.#block, used, at);
      at += count;
      this.#end += count;
      if (used + count === BLOCK_BYTES) this.#blocks.write(this.#end / BLOCK_BYTES - 1, this.#block);
    }
  }

  read(position: number, length: number): Buffer {
    const bytes = Buffer.allocUnsafe(length);
    for (let at = 0; at < length; ) {
      const [index, from] = [Math.floor((position + at) / BLOCK_BYTES), (position + at) % BLOCK_BYTES];
      const part = bytes.subarray(at, at + Math.min(length - at, BLOCK_BYTES - from));
      if (index === Math.floor(this.#end / BLOCK_BYTES)) this.#block.copy(part, 0, from, from + part.length);
      else this.#blocks.read(index, from, part);
      at += part.length;
    }
    return bytes;
  }

  [Symbol.dispose](): void {
    this.#blocks[Symbol.dispose]();
  }
}

/** The first name of a file with several names. */
export interface FirstName {
  readonly path: RawName;
  /** A text that the caller stores with it. */
  readonly note: string;
}

// A record: 0 u64 inode; 8 u32 major; 12 u32 minor; 16 u64 seconds and 24 u32 nanoseconds of its birth; 28 u32 length
// of the note; 32 u32 length of the path; then both.
const KEY_BYTES = 28;
const RECORD_BYTES = 36;
const ALIGNMENT = 8;
const FIRST_SLOTS = 1024;
/** At this number the table of slots needs 96 MiB, while it grows and the old one still exists. */
const FILES_LIMIT = 4 << 20;

/** The first names of files with several names, by the identity of the file. */
export class LinkTable implements Disposable {
  readonly #log: Log;
  readonly #limit: number;
  readonly #seed = BigInt(Math.floor(Math.random() * 2 ** 32));
  /**
   * A hash table with two numbers for each slot: the hash, and the record's position / ALIGNMENT + 1 (0: empty slot).
   */
  #slots = new Uint32Array(2 * FIRST_SLOTS);
  #files = 0;

  /** `directory` is where the file may be made; null: only in /var/tmp. The caller still owns it. */
  constructor(directory: Fd | null, filesLimit: number = FILES_LIMIT) {
    this.#log = new Log(directory);
    this.#limit = filesLimit;
  }

  /** Returns the name that was added last for the file of `status`; null where none was. */
  find(status: RawStatus): FirstName | null {
    if (this.#files === 0) return null;
    const key = keyOf(status);
    const hash = this.#hash(key);
    const mask = this.#slots.length / 2 - 1;
    let last = 0;
    let found: Buffer | null = null;
    for (let slot = hash & mask; this.#slots[2 * slot + 1] !== 0; slot = (slot + 1) & mask) {
      const place = this.#slots[2 * slot + 1] as number;
      if (this.#slots[2 * slot] !== hash || place < last) continue;
      const record = this.#log.read((place - 1) * ALIGNMENT, RECORD_BYTES);
      if (record.subarray(0, KEY_BYTES).equals(key)) [last, found] = [place, record];
    }
    if (found === null) return null;
    const note = found.readUInt32LE(28);
    const position = (last - 1) * ALIGNMENT + RECORD_BYTES;
    const texts = this.#log.read(position, note + found.readUInt32LE(32)).toString("latin1");
    return { note: texts.slice(0, note), path: texts.slice(note) };
  }

  /** Adds a name of the file of `status`. Throws `EFBIG` beyond the limit of files. */
  add(status: RawStatus, { path, note }: FirstName): void {
    if (this.#files >= this.#limit) throw new SyscallError("remember", "EFBIG", "files with several names");
    if (2 * (this.#files + 1) > this.#slots.length / 2) this.#grow();
    const key = keyOf(status);
    const record = Buffer.alloc(Math.ceil((RECORD_BYTES + note.length + path.length) / ALIGNMENT) * ALIGNMENT);
    key.copy(record);
    record.writeUInt32LE(note.length, 28);
    record.writeUInt32LE(path.length, 32);
    record.write(note + path, RECORD_BYTES, "latin1");
    this.#put(this.#hash(key), this.#log.end / ALIGNMENT + 1);
    this.#log.append(record);
    this.#files++;
  }

  #put(hash: number, place: number): void {
    const mask = this.#slots.length / 2 - 1;
    let slot = hash & mask;
    while (this.#slots[2 * slot + 1] !== 0) slot = (slot + 1) & mask;
    this.#slots[2 * slot] = hash;
    this.#slots[2 * slot + 1] = place;
  }

  #grow(): void {
    const before = this.#slots;
    this.#slots = new Uint32Array(2 * before.length);
    for (let at = 0; at < before.length; at += 2) {
      if (before[at + 1] !== 0) this.#put(before[at] as number, before[at + 1] as number);
    }
  }

  /** The random seed prevents an attacker from choosing inodes whose hashes collide. */
  #hash(key: Buffer): number {
    return Number(BigInt.asUintN(32, Bun.hash.wyhash(key, this.#seed)));
  }

  [Symbol.dispose](): void {
    this.#log[Symbol.dispose]();
  }
}

const keyBytes = Buffer.alloc(KEY_BYTES);

/** Returns the key of a file: inode, device and birth time, because an inode may be reused while the tree is read. */
function keyOf({ memory: { view } }: RawStatus): Buffer {
  keyBytes.writeBigUInt64LE(view.getBigUint64(32, true), 0);
  keyBytes.writeUInt32LE(view.getUint32(136, true), 8);
  keyBytes.writeUInt32LE(view.getUint32(140, true), 12);
  keyBytes.writeBigUInt64LE(view.getBigUint64(80, true), 16);
  keyBytes.writeUInt32LE(view.getUint32(88, true), 24);
  return keyBytes;
}
