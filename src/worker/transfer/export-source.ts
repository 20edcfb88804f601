// The image that is exported or pushed: its path, and a snapshot of its tree.
import { dirname, resolve } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { type Fd, openPath } from "../../kernel/file/fd.ts";
import { isErrno, SyscallError } from "../../kernel/syscall/sys.ts";
import { isSubvolume } from "../../kernel/tree/btrfs.ts";
import { lockSubvolumes } from "../../kernel/tree/snapshot.ts";
import { isImageName } from "../../registry/image/image.ts";
import { HeldImage } from "../../registry/image/lock.ts";
import { Stage } from "../image/stage.ts";
import { findImage } from "../image/target.ts";
import { log } from "../program/log.ts";
import type { WorkerOptions } from "../program/options.ts";

/**
 * Returns the path of an image that is given by name or by path; a relative one begins in the working directory. Throws
 * `ENOENT` for an unknown name, `EINVAL` for none: a script's unset variable must not mean the directory of all images.
 */
export function pathOfImage(given: string, options: WorkerOptions): string {
  if (isImageName(given)) {
    const image = findImage(given, options);
    if (image === null) throw new ErrnoError("ENOENT", `Image ${given} not found.`);
    return image.path;
  }
  if (given === "") throw new ErrnoError("EINVAL", `Image name '${given}' is not valid.`);
  return resolve(given);
}

/** A tree that is read: a snapshot where the file system has them, else the tree itself, locked against removal. */
export class HeldTree implements Disposable {
  readonly #held: HeldImage;
  readonly #owner: DisposableStack;
  readonly #frozen: Stage | null;

  private constructor(held: HeldImage, owner: DisposableStack, frozen: Stage | null) {
    this.#held = held;
    this.#owner = owner;
    this.#frozen = frozen;
  }

  /** Opens the image at `path`. Machines may run from it meanwhile. */
  static open(path: string): HeldTree {
    using owner = new DisposableStack();
    // Locked, because an archive of an image that is removed meanwhile would be incomplete.
    const held = owner.use(openHeld(path));
    const frozen = freeze(held.fd, path, owner);
    return new HeldTree(held, owner.move(), frozen);
  }

  get file(): Fd {
    return this.#frozen?.file ?? this.#held.fd;
  }

  /**
   * Throws `ENOENT` when a program that takes no locks has removed the image: the data read from it is then incomplete.
   */
  requireThere(): void {
    if (this.#frozen === null) this.#held.requireThere();
  }

  [Symbol.dispose](): void {
    this.#owner[Symbol.dispose]();
  }
}

/** Locks the tree against removal; machines may run from it. Throws `EBUSY` while another process removes it. */
function openHeld(path: string): HeldImage {
  try {
    return HeldImage.open(null, path, "directory");
  } catch (error) {
    if (!isErrno(error, "EBUSY")) throw error;
    throw new ErrnoError("EBUSY", `'${path}' is being replaced or removed.`, { cause: error });
  }
}

/**
 * Makes a read-only snapshot of a subvolume with all that are nested in it; returns null where that is not possible.
 * `owner` removes it, and closes the directory that it is in.
 */
function freeze(tree: Fd, path: string, owner: DisposableStack): Stage | null {
  if (!isSubvolume(tree)) return null;
  try {
    using made = new DisposableStack();
    const parent = made.use(openPath(dirname(path), "directory"));
    const stage = made.use(Stage.snapshot(parent, "export", tree));
    lockSubvolumes(stage.file);
    owner.use(made.move());
    return stage;
  } catch (error) {
    if (!(error instanceof SyscallError)) throw error;
    log("warning", `Cannot take a snapshot of '${path}', exporting it as it is: ${error.message}`);
    return null;
  }
}
