// Storage for what a walk through a tree must remember (name-stack.ts, link-table.ts). A tree may have millions of
// files and be hostile, so only the first MiB is kept in memory; the rest is written to an unnamed file, on the
// target's file system or, where that does not support it, in /var/tmp. See open(2), O_TMPFILE.
import type * as NodeFs from "node:fs";
import { lazy } from "../../base/lazy.ts";
import { type Fd, openPath } from "../file/fd.ts";
import { SyscallError, unlessSyscallError } from "../syscall/sys.ts";
import { tryOpenUnnamed } from "./tree.ts";

export const BLOCK_BYTES = 64 << 10;
const MEMORY_BLOCKS = 16;
/** The limit of memory where no file can be made. */
const MEMORY_BLOCKS_LIMIT = 256;
/** The limit of the file. */
const FILE_LIMIT_BYTES = 2 * 1024 ** 3;
const FALLBACK = "/var/tmp";

/** Not imported: a short copy remembers little, and takes no longer than loading this. */
const fs = lazy((): typeof NodeFs => process.getBuiltinModule("node:fs"));

/** Blocks of BLOCK_BYTES by number, the first ones in memory and the others in a file. */
export class Blocks implements Disposable {
  readonly #directory: Fd | null;
  readonly #kept: Buffer[] = [];
  #file: Fd | null = null;
  #hasLooked = false;

  constructor(directory: Fd | null) {
    this.#directory = directory;
  }

  /** Stores a block. Throws `ENOMEM` or `EFBIG` at the limits. */
  write(index: number, block: Buffer): void {
    const file = index < MEMORY_BLOCKS ? null : this.#open();
    if (file === null) {
      if (index >= MEMORY_BLOCKS_LIMIT) throw new SyscallError("remember", "ENOMEM");
      this.#kept[index] = Buffer.from(block);
      return;
    }
    if ((index + 1) * BLOCK_BYTES > FILE_LIMIT_BYTES) throw new SyscallError("remember", "EFBIG");
    const position = index * BLOCK_BYTES;
    for (let at = 0; at < BLOCK_BYTES; ) at += fs().writeSync(file.number, block, at, BLOCK_BYTES - at, position + at);
  }

  /** Fills `target` with bytes of a stored block, beginning at `from`. */
  read(index: number, from: number, target: Buffer): void {
    const kept = this.#kept[index];
    if (kept !== undefined) {
      kept.copy(target, 0, from, from + target.length);
      return;
    }
    const file = this.#file as Fd;
    const position = index * BLOCK_BYTES + from;
    for (let at = 0; at < target.length; ) {
      const count = fs().readSync(file.number, target, at, target.length - at, position + at);
      if (count === 0) throw new SyscallError("read", "EIO");
      at += count;
    }
  }

  #open(): Fd | null {
    if (this.#hasLooked) return this.#file;
    this.#hasLooked = true;
    this.#file = (this.#directory === null ? null : tryOpenUnnamed(this.#directory)) ?? openFallback();
    return this.#file;
  }

  [Symbol.dispose](): void {
    this.#file?.close();
  }
}

function openFallback(): Fd | null {
  return unlessSyscallError(() => {
    using directory = openPath(FALLBACK, "directory");
    return tryOpenUnnamed(directory);
  }, null);
}
