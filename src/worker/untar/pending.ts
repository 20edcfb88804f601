// The metadata of an archive's directories, which is set when their content is complete. An archive may have millions
// of directories, so they are stored in one log of bytes, each path by its difference to the one before; beyond 1 MiB
// the log is written to an unnamed file on the tree's file system. A repeated directory has several records; the last
// one counts.
import { readSync, writeSync } from "node:fs";
import { ErrnoError } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { type RawName, tryOpenUnnamed } from "../../kernel/tree/tree.ts";
import type { Held } from "../program/budget.ts";
import type { PaxTime } from "../tar/pax.ts";

export interface DirectoryMetadata {
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  /** Null for a directory that has no member of its own. */
  readonly time: PaxTime | null;
  readonly accessAcl: Buffer | null;
  readonly defaultAcl: Buffer | null;
  /** The directory existed before: its ACLs must be removed first. */
  readonly wasThere: boolean;
}

interface PendingDirectory {
  readonly components: RawName[];
  readonly metadata: DirectoryMetadata;
}

/**
 * A record: 0 u16 bytes shared with the path before; 2 u16 further bytes; 4 u16 length of the access list; 6 u16 of the
 * default list; 8 u32 mode; 12 u32 uid; 16 u32 gid; 20 u32 nanoseconds; 24 f64 seconds; 32 u8 depth; 33 u8 flags; then
 * the bytes of the path and the lists.
 */
const RECORD_BYTES = 34;
const [HAS_TIME, WAS_THERE, HAS_ACCESS, HAS_DEFAULT] = [1, 2, 4, 8];
const CHUNK_BYTES = 64 << 10;
/** How much is kept in memory before the file is used. */
const MEMORY_BYTES = 1 << 20;
const WHAT = "directories";

export class PendingDirectories implements Disposable {
  readonly #top: Fd;
  readonly #held: Held;
  readonly #depths = new Set<number>();
  /** The first full chunks; the lengths of the further ones, which are in the file. */
  readonly #chunks: Buffer[] = [];
  readonly #spilled: number[] = [];
  #file: Fd | null = null;
  #chunk: Buffer = Buffer.allocUnsafeSlow(CHUNK_BYTES);
  #used = 0;
  #last: RawName = "";

  /** `top` is a directory of the tree; the caller still owns it. `held` limits the memory. */
  constructor(top: Fd, held: Held) {
    this.#top = top;
    this.#held = held;
  }

  /** Adds a directory by its path below the top. Throws where the memory limit is exceeded. */
  add(components: readonly RawName[], metadata: DirectoryMetadata): void {
    const path = components.join("/");
    const shared = sharedLength(path, this.#last);
    this.#last = path;
    const { accessAcl, defaultAcl, time } = metadata;
    const suffix = path.length - shared;
    const record = this.#room(RECORD_BYTES + suffix + (accessAcl?.length ?? 0) + (defaultAcl?.length ?? 0));
    record.writeUInt16LE(shared, 0);
    record.writeUInt16LE(suffix, 2);
    record.writeUInt16LE(accessAcl?.length ?? 0, 4);
    record.writeUInt16LE(defaultAcl?.length ?? 0, 6);
    record.writeUInt32LE(metadata.mode, 8);
    record.writeUInt32LE(metadata.uid, 12);
    record.writeUInt32LE(metadata.gid, 16);
    record.writeUInt32LE(time?.nanoseconds ?? 0, 20);
    record.writeDoubleLE(time?.seconds ?? 0, 24);
    record.writeUInt8(components.length, 32);
    record.writeUInt8(flagsOf(metadata), 33);
    record.write(path.slice(shared), RECORD_BYTES, "latin1");
    accessAcl?.copy(record, RECORD_BYTES + suffix);
    defaultAcl?.copy(record, RECORD_BYTES + suffix + (accessAcl?.length ?? 0));
    this.#depths.add(components.length);
  }

  /** Returns memory for the next record. Throws E2BIG for one that does not fit in a chunk. */
  #room(bytes: number): Buffer {
    if (bytes > CHUNK_BYTES)
      throw new ErrnoError("E2BIG", "Archive has a directory whose path and access control lists are too long");
    if (this.#used + bytes > CHUNK_BYTES) this.#putAway();
    this.#used += bytes;
    return this.#chunk.subarray(this.#used - bytes, this.#used);
  }

  /** Stores the full chunk in memory or in the file. */
  #putAway(): void {
    const full = this.#chunk.subarray(0, this.#used);
    this.#used = 0;
    const isMuch = this.#chunks.length * CHUNK_BYTES >= MEMORY_BYTES;
    if (isMuch) this.#file ??= tryOpenUnnamed(this.#top);
    if (!isMuch || this.#file === null) {
      this.#held.add(CHUNK_BYTES, WHAT);
      this.#chunks.push(full);
      this.#chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      return;
    }
    for (let at = 0; at < full.length; ) at += writeSync(this.#file.number, full, at, full.length - at, null);
    this.#spilled.push(full.length);
  }

  *#allChunks(): Generator<Buffer> {
    yield* this.#chunks;
    let position = 0;
    const room = this.#spilled.length > 0 ? Buffer.allocUnsafeSlow(CHUNK_BYTES) : this.#chunk;
    for (const length of this.#spilled) {
      const { number } = this.#file as Fd;
      for (let at = 0; at < length; ) at += readSync(number, room, at, length - at, position + at);
      position += length;
      yield room.subarray(0, length);
    }
    yield this.#chunk.subarray(0, this.#used);
  }

  /**
   * Yields the directories, deepest first: unless we are root, the final permissions of a directory may prevent access
   * to those below it. Repeated records of a directory are yielded in order. Null is a pause: an archive may have
   * millions of records, which are read once for each depth.
   */
  *innermostFirst(): Generator<PendingDirectory | null> {
    for (const depth of [...this.#depths].sort((a, b) => b - a)) yield* this.#atDepth(depth);
  }

  *#atDepth(depth: number): Generator<PendingDirectory | null> {
    let path = "";
    for (const chunk of this.#allChunks()) {
      for (let at = 0; at < chunk.length; ) {
        const start = at + RECORD_BYTES;
        const end = start + chunk.readUInt16LE(at + 2);
        const lists = end + chunk.readUInt16LE(at + 4);
        const next = lists + chunk.readUInt16LE(at + 6);
        path = path.slice(0, chunk.readUInt16LE(at)) + chunk.toString("latin1", start, end);
        if (chunk[at + 32] === depth) {
          const metadata = readMetadata(
            chunk.subarray(at, start),
            chunk.subarray(end, lists),
            chunk.subarray(lists, next),
          );
          yield { components: path === "" ? [] : path.split("/"), metadata };
        }
        at = next;
      }
      yield null;
    }
  }

  [Symbol.dispose](): void {
    this.#file?.close();
  }
}

function flagsOf({ time, wasThere, accessAcl, defaultAcl }: DirectoryMetadata): number {
  return (
    (time === null ? 0 : HAS_TIME) |
    (wasThere ? WAS_THERE : 0) |
    (accessAcl === null ? 0 : HAS_ACCESS) |
    (defaultAcl === null ? 0 : HAS_DEFAULT)
  );
}

function readMetadata(record: Buffer, accessAcl: Buffer, defaultAcl: Buffer): DirectoryMetadata {
  const flags = record.readUInt8(33);
  const has = (flag: number) => (flags & flag) !== 0;
  return {
    mode: record.readUInt32LE(8),
    uid: record.readUInt32LE(12),
    gid: record.readUInt32LE(16),
    time: has(HAS_TIME) ? { seconds: record.readDoubleLE(24), nanoseconds: record.readUInt32LE(20) } : null,
    accessAcl: has(HAS_ACCESS) ? accessAcl : null,
    defaultAcl: has(HAS_DEFAULT) ? defaultAcl : null,
    wasThere: has(WAS_THERE),
  };
}

function sharedLength(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  let length = 0;
  while (length < most && a.charCodeAt(length) === b.charCodeAt(length)) length++;
  return length;
}
