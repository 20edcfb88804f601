// The raw statuses of many entries of a directory, to detect whether any of them has changed. They are compared as
// bytes, because decoding takes longer than statx(2) itself.
import { cstring, type Pinned, pinForever } from "../syscall/mem.ts";
import { trySys } from "../syscall/sys.ts";
import type { Fd } from "./fd.ts";
import { STATUS_MASK } from "./status.ts";

/**
 * The byte ranges of struct statx that are compared: mode, inode, size, blocks; change and modification time, device,
 * mount. The access time between them is left out, because reading changes it. See status.ts.
 */
const PARTS = [
  { from: 28, to: 56 },
  { from: 96, to: 152 },
] as const;
const KEPT_BYTES = PARTS.reduce((sum, { from, to }) => sum + to - from, 0);

const statx = pinForever(256);

/** The statuses of entries of one directory at one time. */
export class StatusSet {
  /** The names of the entries, each NUL-terminated. */
  readonly #names: Pinned;
  readonly #starts: readonly number[];
  readonly #kept: Buffer;

  /** Reads the statuses of `entries` of `directory`, following links; a missing entry is recorded as missing. */
  constructor(directory: Fd, entries: readonly string[]) {
    this.#names = cstring(entries.join("/"));
    const starts: number[] = [];
    let at = 0;
    for (const entry of entries) {
      starts.push(at);
      at += Buffer.byteLength(entry) + 1;
      // Overwrites the separating slash, or the end.
      this.#names.bytes[at - 1] = 0;
    }
    this.#starts = starts;
    this.#kept = Buffer.alloc(entries.length * KEPT_BYTES);
    for (let index = 0; index < starts.length; index++) {
      this.#look(directory, index);
      let to = index * KEPT_BYTES;
      for (const part of PARTS) to += statx.bytes.copy(this.#kept, to, part.from, part.to);
    }
  }

  /** Returns whether all entries of the same directory are unchanged. */
  isUnchanged(directory: Fd): boolean {
    for (let index = 0; index < this.#starts.length; index++) {
      this.#look(directory, index);
      let at = index * KEPT_BYTES;
      for (const { from, to } of PARTS) {
        if (statx.bytes.compare(this.#kept, at, at + to - from, from, to) !== 0) return false;
        at += to - from;
      }
    }
    return true;
  }

  #look(directory: Fd, index: number): void {
    const name = this.#names.address + (this.#starts[index] ?? 0);
    // A status that cannot be read counts as all zero.
    if (trySys("statx", directory.number, name, 0, STATUS_MASK, statx) < 0) statx.bytes.fill(0);
  }
}
