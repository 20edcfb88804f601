// What a transfer may use up. Everything that an archive, a layer or a disk image makes this process write or remember is
// counted here: bytes, directories and attributes that go to the disk, and memory that is held until the end of the
// transfer. A worker does one transfer, so that there is one budget in a process: every tree, every disk image and every
// small file counts against it, whoever writes it, and so does the process that copies a tree for it.
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
/** Download, disk image as it came, unpacked and copied: four times the largest file that a file system takes. */
const WRITTEN_LIMIT_BYTES = 4 * 16 * 1024 ** 4;
/** Two trees of the largest archive that is read. */
const ENTRIES_LIMIT = 16_000_000;
/** What an entry costs on the disk at least, its name and inode, whatever it holds. */
const ENTRY_BYTES = 512;
const DIRECTORY_BYTES = 4096;

interface BudgetLimits {
  /** The most that the transfer may write in all. */
  readonly writtenBytes?: number;
  /** The most files of all kinds that it may make. */
  readonly entries?: number;
}

export interface SpaceLimits {
  /** The most that this part may write. */
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

/** What all parts of a transfer have used up. */
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

  /** A part of the transfer that writes to the file system of `directory`, which stays the caller's. */
  part(directory: Fd, limits: SpaceLimits = {}): Spending {
    return new Spending(this, directory, limits);
  }

  /** When a part that begins now has to look how full the disk is: after so many bytes of all parts. */
  get nextCheck(): number {
    return this.#next;
  }

  checked(next: number): void {
    this.#next = next;
  }

  /** Counts what a part has written and made. EFBIG when that is more than the whole transfer may. */
  add(bytes: number, entries = 0): void {
    this.#written += bytes;
    this.#entries += entries;
    if (this.#written > this.#writtenLimit) throw new ErrnoError("EFBIG", "File overly large, refusing.");
    if (this.#entries > this.#entriesLimit) {
      throw new ErrnoError("EFBIG", `Transfer makes more than ${this.#entriesLimit} files, refusing.`);
    }
  }
}

/** The budget of the transfer that this process does. */
export const transferBudget = new Budget();

/** Counts what one part of a transfer writes to a file system, and stops it before the disk is full. */
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

  /** Notes that bytes were written. EFBIG beyond the limits, ENOSPC when the disk is nearly full. */
  readonly wrote = (bytes: number): void => this.#count(bytes, 0);

  /** Notes that a file of any kind is made, with so many bytes beside its data. */
  readonly entered = (bytes: number): void => this.#count(bytes, 1);

  #count(bytes: number, entries: number): void {
    this.#written += bytes;
    this.#budget.add(bytes, entries);
    if (this.#written > this.#limit) throw new ErrnoError("EFBIG", "File overly large, refusing.");
    // Of many small parts none writes enough to look for itself alone.
    if (this.#budget.written >= this.#next) this.requireRoom();
  }

  /** ENOSPC when the disk is nearly full. */
  requireRoom(): void {
    this.#next = this.#budget.written + CHECK_EVERY_BYTES;
    this.#budget.checked(this.#next);
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
