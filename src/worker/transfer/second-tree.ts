// The second tree of a download that is kept: one stays for the next download, the other becomes the image. Making both
// while the archive is unpacked takes less than copying the first one afterwards. A second tree is a convenience: whatever goes
// wrong with it costs time, never the download.

import type { Fd } from "../../kernel/file/fd.ts";
import { fileSystemOf } from "../../kernel/file/file-system.ts";
import { shareData } from "../../kernel/tree/copy-file.ts";
import { liftOsTree } from "../image/os-tree.ts";
import { Stage } from "../image/stage.ts";
import { transferBudget } from "../program/budget.ts";
import { log } from "../program/log.ts";
import type { TarEntry, TarSink, TarTarget } from "../tar/entry.ts";
import { Untar, type UntarOptions } from "../tar/untar.ts";

/** The second tree leaves this much space free, and is not made with less than twice that: the first one needs it. */
const RESERVE_BYTES = 256 << 20;
/** What the second tree may hold in memory: less than the first one. */
const HELD_LIMIT_BYTES = 12 << 20;

/** Whether a copied file takes space of its own on this file system. */
function copiesTakePlace(root: Fd): boolean {
  using probe = Stage.file(root, "tar");
  return shareData(probe.file, probe.file) === "never";
}

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

  /** An empty second tree in the directory `root`; null where a copy costs less, or there is too little space. */
  static make(root: Fd, options: UntarOptions): SecondTree | null {
    if (!copiesTakePlace(root) || fileSystemOf(root).availableBytes < 2 * RESERVE_BYTES) return null;
    return new SecondTree(root, options);
  }

  /** Has what `first` unpacks unpacked here as well. */
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

  #attempt(step: () => void): void {
    if (!this.#isWhole) return;
    try {
      step();
    } catch (error) {
      log("debug", `The image will be copied: ${error instanceof Error ? error.message : String(error)}`);
      this[Symbol.dispose]();
    }
  }

  /** The tree, once the first one is complete; null when it has to be copied. */
  finish(): Stage | null {
    this.#attempt(() => {
      this.#untar.finish();
      liftOsTree(this.#stage.file);
      this.#untar[Symbol.dispose]();
    });
    return this.#isWhole ? this.#stage : null;
  }

  /** Removes it. */
  [Symbol.dispose](): void {
    if (!this.#isWhole) return;
    this.#isWhole = false;
    this.#untar[Symbol.dispose]();
    this.#stage[Symbol.dispose]();
  }
}
