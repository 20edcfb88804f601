// The budget of a transfer. It counts what an archive, a layer or a disk image makes this process write or remember:
// bytes, directories and attributes on the disk, and memory that is held until the end of the transfer. A worker makes
// one transfer, so that a process has one budget: trees, disk images, small files and the child that copies a tree
// count against it.
import { ErrnoError } from "../../base/error.ts";
import { formatBytes } from "../../base/text/format.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { fileSystemOf } from "../../kernel/file/file-system.ts";

/** How much space is left free: a full disk harms more than this transfer. */
const RESERVE_BYTES = 64 << 20;
const CHECK_EVERY_BYTES = 64 << 20;
/** The memory limit of one tree; with the engine, chunks and decoder a worker stays below 200 MB. */
const HELD_LIMIT_BYTES = 32 << 20;
/** The memory limit of all trees that are unpacked at the same time. */
const ALL_HELD_LIMIT_BYTES = 48 << 20;
/**
 * For the download, the received disk image, the unpacked one and its copy: four times the largest file of a file
 * system.
 */
const WRITTEN_LIMIT_BYTES = 4 * 16 * 1024 ** 4;
/** Two trees of the largest archive that is read. */
const ENTRIES_LIMIT = 16_000_000;
/** The minimum space of an entry on the disk, for its name and inode. */
const ENTRY_BYTES = 512;
const DIRECTORY_BYTES = 4096;

interface BudgetLimits {
  /** The maximum that the transfer may write in all. */
  readonly writtenBytes?: number;
  /** The maximum number of files of all kinds that it may make. */
  readonly entries?: number;
}

export interface SpaceLimits {
  /** The maximum that this part may write. */
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

  /** Counts further bytes. Throws EFBIG, which names `what` they are for, above the limit of a worker. */
  add(bytes: number, what: string): void {
    if (this.#bytes + bytes > this.#limit || allBytes + bytes > ALL_HELD_LIMIT_BYTES) {
      throw new ErrnoError(
        "EFBIG",
        `The ${what} of the archive need more memory than allowed (${formatBytes(BigInt(this.#limit))})`,
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

/** The use of all parts of a transfer. */
export class Budget {
  readonly #writtenLimit: number;
  readonly #entriesLimit: number;
  #written = 0;
  #entries = 0;
  #next = CHECK_EVERY_BYTES;

  constructor({ writtenBytes = WRITTEN_LIMIT_BYTES, entries = ENTRIES_LIMIT }: BudgetLimits = {}) {
    this.#writtenLimit = writtenBytes;
    this.#entriesLimit = entries;
  }

  get written(): number {
    return this.#written;
  }

  get entries(): number {
    return this.#entries;
  }

  /** Returns a part of the transfer that writes to the file system of `directory`, which the caller still owns. */
  part(directory: Fd, limits: SpaceLimits = {}): Spending {
    return new Spending(this, directory, limits);
  }

  /** Returns after how many bytes of all parts a part that begins now must check the free space. */
  get nextCheck(): number {
    return this.#next;
  }

  checked(next: number): void {
    this.#next = next;
  }

  /** Counts the bytes and files of a part. Throws EFBIG when that is more than the whole transfer may make. */
  add(bytes: number, entries = 0): void {
    this.#written += bytes;
    this.#entries += entries;
    if (this.#written > this.#writtenLimit) throw new ErrnoError("EFBIG", "File overly large, refusing.");
    if (this.#entries > this.#entriesLimit) {
      throw new ErrnoError("EFBIG", `Transfer makes more than ${this.#entriesLimit} files, refusing.`);
    }
  }
}

/** The budget of the transfer of this process. */
export const transferBudget = new Budget();

/** Counts the writes of one part of a transfer to a file system, and stops it before the disk is full. */
export class Spending {
  readonly #budget: Budget;
  readonly #directory: Fd;
  readonly #limit: number;
  readonly #reserve: number;
  #written = 0;
  #next: number;

  constructor(budget: Budget, directory: Fd, limits: SpaceLimits) {
    this.#budget = budget;
    this.#directory = directory;
    this.#limit = limits.limitBytes ?? Number.POSITIVE_INFINITY;
    this.#reserve = limits.reserveBytes ?? RESERVE_BYTES;
    this.#next = budget.nextCheck;
  }

  /** Counts written bytes. Throws EFBIG beyond the limits, ENOSPC when the disk is nearly full. */
  readonly wrote = (bytes: number): void => this.#count(bytes, 0);

  /** Counts a file of any kind, with the given number of bytes beside its data. */
  readonly entered = (bytes: number): void => this.#count(bytes, 1);

  #count(bytes: number, entries: number): void {
    this.#written += bytes;
    this.#budget.add(bytes, entries);
    if (this.#written > this.#limit) throw new ErrnoError("EFBIG", "File overly large, refusing.");
    // Checked by the bytes of all parts: many small parts may fill the disk together.
    if (this.#budget.written >= this.#next) this.requireRoom();
  }

  /** Throws ENOSPC when the disk is nearly full. */
  requireRoom(): void {
    this.#next = this.#budget.written + CHECK_EVERY_BYTES;
    this.#budget.checked(this.#next);
    const { availableBytes } = fileSystemOf(this.#directory);
    if (availableBytes < this.#reserve) throw diskFull(availableBytes);
  }

  /** Returns the free space in bytes where it is less than `bytes`; null where it is enough. */
  lacking(bytes: number): number | null {
    const { availableBytes } = fileSystemOf(this.#directory);
    return bytes > availableBytes ? availableBytes : null;
  }
}

/** Returns the space of an entry beside the data of a file. */
export function entryCost(kind: string, attributes: Iterable<readonly [name: string, value: Buffer]>): number {
  let bytes = kind === "directory" ? DIRECTORY_BYTES : ENTRY_BYTES;
  for (const [name, value] of attributes) bytes += name.length + value.length;
  return bytes;
}

function diskFull(available: number): ErrnoError {
  return new ErrnoError("ENOSPC", `Disk is full: ${formatBytes(BigInt(available))} are left`);
}
