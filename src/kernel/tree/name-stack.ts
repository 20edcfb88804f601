// The names that a walk through a tree has still to visit.
import type { Fd } from "../file/fd.ts";
import { BLOCK_BYTES, Blocks } from "./spill.ts";
import type { RawName } from "./tree.ts";

const LENGTH_BYTES = 2;

/** A stack of names: the entries that are still to visit in all directories from the top to the current one. */
export class NameStack implements Disposable {
  readonly #blocks: Blocks;
  /** How much of each full block is used. */
  readonly #full: number[] = [];
  readonly #block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
  #used = 0;

  /** `directory` is where the file may be made; null: only in /var/tmp. The caller still owns it. */
  constructor(directory: Fd | null) {
    this.#blocks = new Blocks(directory);
  }

  push(name: RawName): void {
    if (this.#used + name.length + LENGTH_BYTES > BLOCK_BYTES) {
      this.#blocks.write(this.#full.length, this.#block);
      this.#full.push(this.#used);
      this.#used = 0;
    }
    this.#block.write(name, this.#used, "latin1");
    this.#used = this.#block.writeUInt16LE(name.length, this.#used + name.length);
  }

  pop(): RawName {
    if (this.#used === 0) {
      this.#used = this.#full.pop() as number;
      this.#blocks.read(this.#full.length, 0, this.#block);
    }
    const end = this.#used - LENGTH_BYTES;
    this.#used = end - this.#block.readUInt16LE(end);
    return this.#block.toString("latin1", this.#used, end);
  }

  [Symbol.dispose](): void {
    this.#blocks[Symbol.dispose]();
  }
}
