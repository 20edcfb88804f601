// The layers of an image that is being made: locked from the moment when they are found or made until the image is
// complete.
import { join } from "node:path";
import { pathOf } from "../../kernel/file/attributes.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import { HeldImage, lockImageFile } from "../../registry/image/lock.ts";
import { abandonWithUs } from "../program/abandon.ts";

/** How often a lock is tried again: a process that removes a layer holds its lock until that is done. */
const BUSY_TRIES = 600;
const BUSY_PAUSE_MS = 100;

export class HeldLayers implements Disposable {
  readonly #root: Fd;
  readonly #locks: string | null;
  readonly #held = new Map<string, Disposable>();
  readonly #registration = abandonWithUs(this);

  constructor(root: Fd, locks: string | null) {
    this.#root = root;
    this.#locks = locks;
  }

  #pathOf(name: string): string {
    return join(pathOf(this.#root), name);
  }

  /**
   * Locks the layer of that name; returns false when there is none. Throws `EBUSY` when another process still holds the
   * lock after BUSY_TRIES tries.
   */
  hold(name: string): Promise<boolean> {
    return this.#patiently(name, () => HeldImage.open(this.#locks, this.#pathOf(name), "directory"));
  }

  /** Locks a layer that is about to get that name. */
  async holdNew(name: string, tree: Fd): Promise<void> {
    await this.#patiently(name, () => lockImageFile(this.#locks, this.#pathOf(name), tree, "shared"));
  }

  /** Unlocks a layer that did not get that name. */
  release(name: string): void {
    this.#held.get(name)?.[Symbol.dispose]();
    this.#held.delete(name);
  }

  async #patiently(name: string, hold: () => Disposable): Promise<boolean> {
    for (let tries = 1; !this.#held.has(name); tries++) {
      try {
        this.#held.set(name, hold());
      } catch (error) {
        if (isErrno(error, "ENOENT")) return false;
        if (!isErrno(error, "EBUSY") || tries === BUSY_TRIES) throw error;
        await Bun.sleep(BUSY_PAUSE_MS);
      }
    }
    return true;
  }

  [Symbol.dispose](): void {
    this.#registration.settled();
    for (const held of this.#held.values()) held[Symbol.dispose]();
    this.#held.clear();
  }
}
