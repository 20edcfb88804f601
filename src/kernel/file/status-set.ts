// The statuses of many entries of a directory, kept only to tell whether any of them is another one now: not one of
// them is decoded, which takes longer than to ask the kernel for it. See statx(2).

import { cstring, type Pinned, pinForever } from "../syscall/mem.ts";
import { trySys } from "../syscall/sys.ts";
import type { Fd } from "./fd.ts";
import { STATUS_MASK } from "./status.ts";

/**
 * What is compared of struct statx, in bytes: mode, inode, size, blocks; change and modification time, device, mount.
 * The time of access, which reading changes, is between them. See status.ts.
 */
const PARTS = [
  { from: 28, to: 56 },
  { from: 96, to: 152 },
] as const;
const KEPT_BYTES = PARTS.reduce((sum, { from, to }) => sum + to - from, 0);

const statx = pinForever(256);

export class StatusSet {
  /** The entries' names one after the other, each NUL-terminated. */
  readonly #names: Pinned;
  readonly #starts: readonly number[];
  readonly #kept: Buffer;

  /** Looks at the entries of `directory` (followed where they are links); an entry that is not there is remembered as such. */
  constructor(directory: Fd, entries: readonly string[]) {
    this.#names = cstring(entries.join("/"));
    const starts: number[] = [];
    let at = 0;
    for (const entry of entries) {
      starts.push(at);
      at += Buffer.byteLength(entry) + 1;
      // Over the slash that no name has in it, or over the end.
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

  /** Whether all entries of the same directory are what they were. */
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
    // What cannot be looked at has no status.
    if (trySys("statx", directory.number, name, 0, STATUS_MASK, statx) < 0) statx.bytes.fill(0);
  }
}
