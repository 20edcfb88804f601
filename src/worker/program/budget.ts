// What a transfer may use up. Everything that an archive, a layer or a disk image makes this process write or remember is
// counted here before it happens: bytes, directories and attributes that go to the disk, and memory that is held until the
// end of the transfer. A worker does one transfer, so that memory is counted for the process, whoever holds it.
import { ErrnoError } from "../../base/error.ts";
import { formatBytes } from "../../base/format.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { fileSystemOf } from "../../kernel/file/file-system.ts";

/** Of free space so much stays: a full disk harms more than this transfer. */
const RESERVE_BYTES = 64 << 20;
const CHECK_EVERY_BYTES = 64 << 20;
/** What one tree may hold; with the engine, the chunks on their way and the decoder a worker stays below 200 MB. */
const HELD_LIMIT_BYTES = 32 << 20;
/** What all trees that are unpacked at once may hold together. */
const ALL_HELD_LIMIT_BYTES = 48 << 20;
/** What an entry costs on the disk at least, its name and inode, whatever it holds. */
const ENTRY_BYTES = 512;
const DIRECTORY_BYTES = 4096;

export interface SpaceLimits {
  /** The most that may be written in all. */
  readonly limitBytes?: number;
  readonly reserveBytes?: number;
}

let allBytes = 0;

/** Memory that is held for a transfer and counted until it is released. */
export class Held implements Disposable {
  readonly #limit: number;
  #bytes = 0;

  constructor(limitBytes: number = HELD_LIMIT_BYTES) {
    this.#limit = limitBytes;
  }

  /** Counts further bytes. EFBIG, naming `what` they are for, beyond what a worker may hold. */
  add(bytes: number, what: string): void {
    if (this.#bytes + bytes > this.#limit || allBytes + bytes > ALL_HELD_LIMIT_BYTES) {
      throw new ErrnoError(
        "EFBIG",
        `Archive says more of its ${what} than can be remembered until its end (${formatBytes(BigInt(this.#limit))})`,
      );
    }
    allBytes += bytes;
    this.#bytes += bytes;
  }

  [Symbol.dispose](): void {
    allBytes -= this.#bytes;
    this.#bytes = 0;
  }
}

/** Counts what is written to a file system and stops it before the disk is full. */
export class Budget {
  readonly #directory: Fd;
  readonly #limit: number;
  readonly #reserve: number;
  #written = 0;
  #next = CHECK_EVERY_BYTES;

  /** `directory` is on the file system that fills up, and stays the caller's. */
  constructor(directory: Fd, limits: SpaceLimits = {}) {
    this.#directory = directory;
    this.#limit = limits.limitBytes ?? Number.POSITIVE_INFINITY;
    this.#reserve = limits.reserveBytes ?? RESERVE_BYTES;
  }

  get written(): number {
    return this.#written;
  }

  /** Notes that bytes were written. EFBIG beyond the limit, ENOSPC when the disk is nearly full. */
  readonly wrote = (bytes: number): void => {
    this.#written += bytes;
    if (this.#written > this.#limit) throw new ErrnoError("EFBIG", "File overly large, refusing.");
    if (this.#written < this.#next) return;
    this.#next = this.#written + CHECK_EVERY_BYTES;
    this.requireRoom();
  };

  /** ENOSPC when the disk is nearly full. */
  requireRoom(): void {
    const { availableBytes } = fileSystemOf(this.#directory);
    if (availableBytes < this.#reserve) throw diskFull(availableBytes);
  }

  /** The room there is, where it is less than that; null where it is enough. */
  lacking(bytes: number): number | null {
    const { availableBytes } = fileSystemOf(this.#directory);
    return bytes > availableBytes ? availableBytes : null;
  }
}

/** What an entry costs besides the data of a file. */
export function entryCost(kind: string, attributes: Iterable<readonly [name: string, value: Buffer]>): number {
  let bytes = kind === "directory" ? DIRECTORY_BYTES : ENTRY_BYTES;
  for (const [name, value] of attributes) bytes += name.length + value.length;
  return bytes;
}

function diskFull(available: number): ErrnoError {
  return new ErrnoError("ENOSPC", `Disk is full: ${formatBytes(BigInt(available))} are left`);
}
