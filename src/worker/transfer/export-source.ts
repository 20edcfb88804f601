// The image that is exported or pushed: where it is, and its tree at one moment.
import { dirname, isAbsolute, join } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { type Fd, openPath } from "../../kernel/file/fd.ts";
import { SyscallError } from "../../kernel/syscall/sys.ts";
import { isSubvolume, setSubvolumeReadOnly } from "../../kernel/tree/btrfs.ts";
import { isImageName } from "../../registry/image/image.ts";
import { HeldImage } from "../../registry/image/lock.ts";
import { Stage } from "../image/stage.ts";
import { findImage, imageRootOf } from "../image/target.ts";
import { log } from "../program/log.ts";
import type { WorkerOptions } from "../program/options.ts";

/** The path of an image by name, or the path that was given. */
export function pathOfImage(given: string, options: WorkerOptions): string {
  if (isImageName(given)) {
    const image = findImage(given, options);
    if (image === null) throw new ErrnoError("ENOENT", `Image ${given} not found.`);
    return image.path;
  }
  return isAbsolute(given) ? given : join(imageRootOf(options), given);
}

/** A tree that stays as it is, as far as its file system can do that, and is not removed meanwhile. */
export class HeldTree implements Disposable {
  readonly #held: HeldImage;
  readonly #owner: DisposableStack;
  readonly #frozen: Stage | null;

  private constructor(held: HeldImage, owner: DisposableStack, frozen: Stage | null) {
    this.#held = held;
    this.#owner = owner;
    this.#frozen = frozen;
  }

  /** Opens the image at `path`. Machines may go on running from it. */
  static open(path: string): HeldTree {
    using owner = new DisposableStack();
    // Held, so that an image that is removed meanwhile does not become half of an archive.
    const held = owner.use(HeldImage.open(null, path, "directory"));
    const frozen = freeze(held.fd, path, owner);
    return new HeldTree(held, owner.move(), frozen);
  }

  get file(): Fd {
    return this.#frozen?.file ?? this.#held.fd;
  }

  /** `ENOENT` when somebody who knows no locks has removed it: then what was read of it is not whole. */
  requireThere(): void {
    if (this.#frozen === null) this.#held.requireThere();
  }

  [Symbol.dispose](): void {
    this.#owner[Symbol.dispose]();
  }
}

/**
 * A snapshot of a subvolume, so that the archive shows one moment; null where there can be none. `owner` closes it, and the
 * directory that it stands in.
 */
function freeze(tree: Fd, path: string, owner: DisposableStack): Stage | null {
  if (!isSubvolume(tree)) return null;
  try {
    using made = new DisposableStack();
    const parent = made.use(openPath(dirname(path), "directory"));
    const stage = made.use(Stage.snapshot(parent, "export", tree));
    setSubvolumeReadOnly(stage.file, true);
    owner.use(made.move());
    return stage;
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    log("warning", `Cannot take a snapshot of '${path}', exporting it as it is: ${error.message}`);
    return null;
  }
}
