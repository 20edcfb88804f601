// Images that are written in place (--direct): a directory, a file or a block device that is locked while it is
// written.
import { realpathSync } from "node:fs";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { lockImage, lockImageFile } from "../../registry/image/lock.ts";
import { abandonWithUs } from "../program/abandon.ts";
import { log } from "../program/log.ts";

export class InPlace implements Disposable {
  readonly fd: Fd;
  readonly #locks: Disposable | null;
  readonly #registration = abandonWithUs(this);

  private constructor(fd: Fd, locks: Disposable | null) {
    this.fd = fd;
    this.#locks = locks;
  }

  /**
   * Locks the file at `path` and opens or makes it with `open`. Throws `EBUSY` when a machine or another process uses
   * it. Where no lock is possible (on a read-only file system, say), none is taken.
   */
  static open(locks: string | null, path: string, open: () => Fd): InPlace {
    const target = resolved(path);
    // The host's own tree has no lock: unpacking over it is intended.
    if (target === "/") return new InPlace(open(), null);
    const before = target === null ? null : attempt(path, () => lockImage(locks, target, "exclusive"));
    let fd: Fd | null = null;
    try {
      fd = open();
      const made = fd;
      // A file that was just made has no lock yet.
      const after = before ?? attempt(path, () => lockImageFile(locks, resolved(path) ?? path, made, "exclusive"));
      return new InPlace(fd, after);
    } catch (error) {
      fd?.close();
      before?.[Symbol.dispose]();
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#registration.settled();
    this.fd.close();
    this.#locks?.[Symbol.dispose]();
  }
}

function resolved(path: string): string | null {
  try {
    return realpathSync(path);
  } catch {
    return null;
  }
}

function attempt(path: string, lock: () => Disposable): Disposable | null {
  try {
    return lock();
  } catch (error) {
    if (errnoNameOf(error) === "EBUSY") throw new ErrnoError("EBUSY", `'${path}' is in use.`, { cause: error });
    log("debug", `Cannot lock '${path}': ${error instanceof Error ? error.message : String(error)}`);
    return null;
  }
}
