// Unpacks an archive that arrives in chunks.
import type { Fd } from "../../kernel/file/fd.ts";
import { log } from "../program/log.ts";
import type { TarTarget } from "../tar/entry.ts";
import { TarReader } from "../tar/reader.ts";
import { setMask } from "./calls.ts";
import { Untar, type UntarOptions } from "./untar.ts";

let unpacking = 0;
let mask = 0;

/** Sets the umask to 0 while anything is being unpacked, because files are made with their final permissions. */
function openMask(): void {
  if (unpacking++ === 0) mask = setMask(0);
}

function closeMask(): void {
  if (--unpacking === 0) setMask(mask);
}

/** Unpacks an archive: call `push()` for each chunk, then `end()`, then dispose. */
export class Unpacker implements Disposable {
  readonly #untar: Untar;
  readonly #target: TarTarget;
  readonly #reader: TarReader;
  readonly #isQuiet: boolean;

  /** The caller still owns `top`. `target` wraps the receiver of entries, for callers that change entries (layers). */
  constructor(top: Fd, options: UntarOptions = {}, target: (untar: Untar) => TarTarget = (untar) => untar) {
    openMask();
    this.#isQuiet = options.isQuiet === true;
    this.#untar = new Untar(top, options);
    this.#target = target(this.#untar);
    this.#reader = new TarReader(this.#target);
  }

  push(chunk: Buffer): void {
    this.#reader.push(chunk);
  }

  end(): void {
    for (const _ of this.ending());
  }

  /** As `end()`, in steps between which other work can run. */
  *ending(): Generator<void> {
    this.#reader.end();
    if (!this.#reader.hasEndMark && !this.#isQuiet)
      log("warning", "Archive has no end mark; its last member is complete.");
    this.#target.end?.();
    yield* this.#untar.finishing();
  }

  [Symbol.dispose](): void {
    this.#untar[Symbol.dispose]();
    closeMask();
  }
}
