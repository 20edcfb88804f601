// Mounts whose restrictions a machine must not be able to remove. A machine with a user namespace of its own controls
// its mounts: it could make a mount writable that is attached there directly. But the kernel locks the restrictions of
// a mount that propagates into such a namespace, and systemd-nspawn(1) provides a directory through which mounts
// propagate.

import { ErrnoError } from "../../base/error.ts";
import { randomHex } from "../../base/random-hex.ts";
import { unlink } from "../../kernel/file/directory-entry.ts";
import { type Fd, openAt, openInRoot, openPath, statFd } from "../../kernel/file/fd.ts";
import { attachMount, cloneMount, unmount } from "../../kernel/mount/mount.ts";
import { currentMountNamespace, moveToMountNamespace } from "../../kernel/mount/mount-namespace.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import { createDirectory, createFile, removeEmpty } from "../../kernel/tree/link.ts";

/** The path of the other end in the machine. */
const INCOMING = "/run/host/incoming";

export class BindTunnel implements Disposable {
  readonly #path: string;
  readonly #name = `machined-${randomHex(6)}`;
  readonly #isDirectory: boolean;
  readonly #host = currentMountNamespace();
  readonly #refusal: string;

  /**
   * Attaches `mount` at the host's end, the directory `path`. Throws `EOPNOTSUPP` with the text `refusal` where mounts
   * do not propagate. Must be called in the host's mount namespace; may be disposed of in any.
   */
  constructor(path: string, mount: Fd, refusal: string) {
    this.#path = path;
    this.#refusal = refusal;
    this.#isDirectory = statFd(mount).kind === "directory";
    using directory = this.#open();
    const place = { directory, name: this.#name };
    if (this.#isDirectory) createDirectory(place, 0o700);
    else createFile(place, 0o600).close();
    try {
      using target = openAt(directory, this.#name, "path-no-follow");
      attachMount(mount, target);
    } catch (error) {
      // The table of mounts may be full: nobody would remove the entry, which the machine sees.
      this.#removeFrom(directory);
      throw error;
    }
  }

  #open(): Fd {
    try {
      return openPath(this.#path, "directory");
    } catch (error) {
      throw isErrno(error, "ENOENT") ? this.#refused(error) : error;
    }
  }

  #refused(cause?: unknown): ErrnoError {
    return new ErrnoError("EOPNOTSUPP", this.#refusal, { cause });
  }

  /**
   * Returns the mount that arrived in the machine with this root, to be attached there. To be called in its mount
   * namespace.
   */
  take(root: Fd): Fd {
    using arrived = openInRoot(root, `${INCOMING}/${this.#name}`, "path-no-follow");
    if (!statFd(arrived).isMountPoint) throw this.#refused();
    return cloneMount(arrived, "one");
  }

  /** Returns to the host's mount namespace and unmounts the host's end, which unmounts that in the machine. */
  [Symbol.dispose](): void {
    moveToMountNamespace(this.#host);
    this.#host.close();
    unmount(`${this.#path}/${this.#name}`, "lazy");
    using directory = openPath(this.#path, "directory");
    this.#removeFrom(directory);
  }

  #removeFrom(directory: Fd): void {
    if (this.#isDirectory) removeEmpty({ directory, name: this.#name });
    else unlink(this.#name, directory);
  }
}
