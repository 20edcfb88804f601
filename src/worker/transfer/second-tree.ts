// The second tree of a kept download: one tree is kept, the other becomes the image. Unpacking into both at once takes
// less time than copying the first one afterwards. Where the second tree fails, it is removed and the first one is
// copied.

import type { Fd } from "../../kernel/file/fd.ts";
import { fileSystemOf } from "../../kernel/file/file-system.ts";
import { shareData } from "../../kernel/tree/copy-file.ts";
import { liftOsTree } from "../image/os-tree.ts";
import { Stage } from "../image/stage.ts";
import { transferBudget } from "../program/budget.ts";
import { log } from "../program/log.ts";
import { workerTurns } from "../stream/archive.ts";
import type { TarEntry, TarSink, TarTarget } from "../tar/entry.ts";
import { Untar, type UntarOptions } from "../untar/untar.ts";

/** The space that the second tree leaves free for the first one; it is made only where twice that is free. */
const RESERVE_BYTES = 256 << 20;
/** The memory limit of the second tree; lower than that of the first one. */
const HELD_LIMIT_BYTES = 12 << 20;

/** Whether copies of files take disk space: false where files can share data (FICLONE). */
function copiesTakePlace(root: Fd): boolean {
  using probe = Stage.file(root, "tar");
  return shareData(probe.file, probe.file) === "never";
}

/** The second tree while the first one is unpacked. */
export class SecondTree implements Disposable {
  readonly #stage: Stage;
  readonly #untar: Untar;
  #isWhole = true;

  private constructor(root: Fd, options: UntarOptions) {
    const spending = transferBudget.part(root, { reserveBytes: RESERVE_BYTES });
    this.#stage = Stage.tree(root, "tar", false);
    this.#untar = new Untar(this.#stage.file, {
      ...options,
      spending,
      isQuiet: true,
      heldLimitBytes: HELD_LIMIT_BYTES,
    });
  }

  /**
   * Makes an empty second tree in the directory `root`; returns null where files can share data, or there is too little
   * space.
   */
  static make(root: Fd, options: UntarOptions): SecondTree | null {
    if (!copiesTakePlace(root) || fileSystemOf(root).availableBytes < 2 * RESERVE_BYTES) return null;
    return new SecondTree(root, options);
  }

  /** Returns a target that passes each entry to `first` and to this tree. */
  readonly beside = (first: TarTarget): TarTarget => ({
    entry: (entry) => {
      const sink = first.entry(entry);
      const own = this.#sinkOf(entry);
      return sink === null || own === null ? sink : this.#both(sink, own);
    },
  });

  #sinkOf(entry: TarEntry): TarSink | null {
    let sink: TarSink | null = null;
    this.#attempt(() => {
      sink = this.#untar.entry(entry);
    });
    return sink;
  }

  #both(first: TarSink, own: TarSink): TarSink {
    return {
      write: (part, offset) => {
        first.write(part, offset);
        this.#attempt(() => own.write(part, offset));
      },
      end: () => {
        first.end();
        this.#attempt(() => own.end());
      },
    };
  }

  /** Returns the result of `step`; null where it fails, or an earlier one has failed. */
  #attempt<Result>(step: () => Result): Result | null {
    if (!this.#isWhole) return null;
    try {
      return step();
    } catch (error) {
      log("debug", `The image will be copied: ${error instanceof Error ? error.message : String(error)}`);
      this[Symbol.dispose]();
      return null;
    }
  }

  /** Completes the tree and returns it; null where it failed, and the first one must be copied. */
  async finish(): Promise<Stage | null> {
    const turns = workerTurns();
    const steps = this.#untar.finishing();
    while (this.#attempt(() => steps.next())?.done === false) await turns.pass();
    this.#attempt(() => {
      liftOsTree(this.#stage.file);
      this.#untar[Symbol.dispose]();
    });
    return this.#isWhole ? this.#stage : null;
  }

  /** Removes the tree, unless it has failed and is removed already. */
  [Symbol.dispose](): void {
    if (!this.#isWhole) return;
    this.#isWhole = false;
    this.#untar[Symbol.dispose]();
    this.#stage[Symbol.dispose]();
  }
}
