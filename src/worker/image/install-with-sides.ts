// Installs an image together with the small files beside it, which have its name. They cannot get their names at once:
// the small files get theirs first, so that no list shows an image without its settings, and a record of that makes a
// later sweep remove them where the process is killed before the image has its name (registry/image/unfinished.ts).
import { join } from "node:path";
import { pathOf } from "../../kernel/file/attributes.ts";
import { type Fd, statFd } from "../../kernel/file/fd.ts";
import { identityOf } from "../../registry/image/entry.ts";
import type { ImageLayout } from "../../registry/image/layout.ts";
import { markOf, UnfinishedChange } from "../../registry/image/unfinished.ts";
import { abandonWithUs } from "../program/abandon.ts";
import { log } from "../program/log.ts";
import type { WorkerOptions } from "../program/options.ts";
import { exists, Stage, type StageLabel } from "./stage.ts";

/** A small file to be made beside an image. */
export interface NewSide {
  readonly suffix: string;
  readonly label: StageLabel;
  readonly fill: (file: Fd) => Promise<void>;
}

interface Target {
  readonly root: Fd;
  /** The name of the image, and what it has after that. */
  readonly name: string;
  readonly suffix: string;
  /** The complete image, open. */
  readonly image: Fd;
  /** Whether small files that exist are replaced; others are left as they are. */
  readonly how: "replace" | "respect";
  readonly options: WorkerOptions;
}

/**
 * Calls `install`, which gives the image its name and may return false to give up, with the small files beside it.
 * An image that is replaced keeps its own until then: the files get their names right after the new image, and the
 * record makes a later sweep name them.
 */
export async function installWithSides(target: Target, sides: readonly NewSide[], install: () => boolean) {
  using staged = new StagedSides(target);
  await staged.fill(sides);
  if (!exists(target.root, target.name + target.suffix)) {
    using _record = staged.record("new");
    staged.put();
    return install();
  }
  using _record = staged.record("replacement");
  const isInstalled = install();
  if (isInstalled) staged.put();
  return isInstalled;
}

class StagedSides implements Disposable {
  readonly #target: Target;
  readonly #stages: { readonly stage: Stage; readonly name: string }[] = [];

  constructor(target: Target) {
    this.#target = target;
  }

  async fill(sides: readonly NewSide[]): Promise<void> {
    const { root, how } = this.#target;
    for (const { suffix, label, fill } of sides) {
      const name = this.#target.name + suffix;
      if (how === "respect" && exists(root, name)) {
        log("warning", `File '${name}' exists already, leaving it as it is.`);
        continue;
      }
      const stage = Stage.file(root, label, 0o644);
      this.#stages.push({ stage, name });
      await fill(stage.file);
    }
  }

  /**
   * Records that the files and the image are about to get their names. Disposing of the result removes the files where
   * the image did not get its name.
   */
  record(kind: "new" | "replacement"): Disposable {
    const { root, name: image, suffix, image: file, options } = this.#target;
    const directory = pathOf(root);
    const isReplacement = kind === "replacement";
    const companions = this.#stages.map(({ stage, name }) => {
      const [is, newName] = isReplacement ? [stage.name, name] : [name, ""];
      return { directory, name: is, mark: markOf(root, stage.name), newName };
    });
    const newPath = isReplacement ? join(directory, image + suffix) : "";
    const change = { image, newPath, identity: identityOf(statFd(file)), companions, isReplacement };
    return new Registered(UnfinishedChange.begin(layoutAt(directory, options.locks), root, change));
  }

  /** Gives the files their names. */
  put(): void {
    for (const { stage, name } of this.#stages) stage.putFile(name, this.#target.options);
  }

  [Symbol.dispose](): void {
    for (const { stage } of this.#stages) stage[Symbol.dispose]();
  }
}

/** A record that a cancelled transfer disposes of, too. */
class Registered implements Disposable {
  readonly #record: Disposable;
  readonly #registration = abandonWithUs(this);

  constructor(record: Disposable) {
    this.#record = record;
  }

  [Symbol.dispose](): void {
    this.#registration.settled();
    this.#record[Symbol.dispose]();
  }
}

/** Returns the layout of a directory of images alone: small files belong to the image beside them. */
export function layoutAt(directory: string, locks: string | null): ImageLayout {
  return { searchPath: [directory], hasHost: false, pool: directory, locks, settings: [] };
}
