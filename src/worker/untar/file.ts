// Writes the data of one unpacked file.
import { writeSync } from "node:fs";
import type { Fd } from "../../kernel/file/fd.ts";
import type { TarSink } from "../tar/entry.ts";

export class FileSink implements TarSink {
  readonly #file: Fd;
  readonly #isSparse: boolean;
  readonly #finish: () => void;
  readonly #wrote: ((bytes: number) => void) | undefined;

  /** Owns `file`. Calls `finish` at its end, and `wrote` with the number of bytes of each part. */
  constructor(file: Fd, isSparse: boolean, finish: () => void, wrote?: (bytes: number) => void) {
    this.#file = file;
    this.#isSparse = isSparse;
    this.#finish = finish;
    this.#wrote = wrote;
  }

  write(part: Buffer, offset: number): void {
    for (let done = 0; done < part.length; ) {
      const position = this.#isSparse ? offset + done : null;
      done += writeSync(this.#file.number, part, done, part.length - done, position);
    }
    this.#wrote?.(part.length);
  }

  end(): void {
    this.#finish();
  }

  close(): void {
    this.#file.close();
  }
}
