// The exclusive right to write an image of a name.
import { join } from "node:path";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { pathOf } from "../../kernel/file/attributes.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { type ImageLock, lockName, lockPlace } from "../../registry/image/lock.ts";
import { abandonWithUs } from "../program/abandon.ts";
import type { WorkerOptions } from "../program/options.ts";
import { isOwnRoot, requireFree } from "./target.ts";

/**
 * Reserves an image name against other transfers, clones and renames, and against containers and tools that use an
 * image of that name. Throws `EBUSY` when it is in use, `EEXIST` when it was taken meanwhile and must not be replaced.
 */
export class Reservation implements Disposable {
  readonly #locks: Disposable[] = [];
  readonly #registration = abandonWithUs(this);

  /** `suffix` is what the image has after its name in the directory `root`. */
  constructor(root: Fd, image: string, suffix: string, options: WorkerOptions) {
    const { locks } = options;
    try {
      if (options.class === "machine" && isOwnRoot(options)) this.#take(image, () => lockName(locks, image));
      for (const entry of new Set([image, image + suffix])) {
        this.#take(image, () => lockPlace(locks, join(pathOf(root), entry)));
      }
      requireFree(image, options);
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  #take(image: string, lock: () => ImageLock): void {
    try {
      this.#locks.push(lock());
    } catch (error) {
      if (errnoNameOf(error) !== "EBUSY") throw error;
      throw new ErrnoError("EBUSY", `Image '${image}' is in use, or another transfer writes it.`, { cause: error });
    }
  }

  [Symbol.dispose](): void {
    this.#registration.settled();
    for (const lock of this.#locks.splice(0).reverse()) lock[Symbol.dispose]();
  }
}
