// A walk through a tree of any depth with a limited number of open files.
import type { Fd } from "../file/fd.ts";
import { SyscallError } from "../syscall/sys.ts";
import type { RawStatus } from "./raw-status.ts";
import { openDirectory, type RawName, textOf } from "./tree.ts";

/**
 * A chain keeps open its innermost directories, and every directory whose depth is a multiple of this; the others are
 * opened again from those. (Going up by `..` would take time proportional to the depth on bind mounts and subvolumes.)
 */
const STEP = 64;

/** The depth limit of copies and archives, because a chain remembers all names on its path. */
export const WALK_DEPTH_LIMIT = 1 << 15;

interface Link {
  readonly name: RawName;
  readonly identity: string;
  fd: Fd | null;
}

/**
 * The directories from the top of a tree to the current one. Its depth is not limited by the number of open files.
 * `leave()` returns to the same directory from which it was entered, or throws `ESTALE` where that was moved.
 */
export class DirectoryChain implements Disposable {
  readonly #links: Link[] = [];
  readonly #status: RawStatus;

  /** Takes ownership of `top`. `status` is only used internally. */
  constructor(top: Fd, status: RawStatus) {
    this.#status = status;
    this.#links.push({ name: "", identity: this.#identityOf(top), fd: top });
  }

  get depth(): number {
    return this.#links.length - 1;
  }

  /** The innermost directory. */
  get current(): Fd {
    return this.#fdAt(this.depth);
  }

  get name(): RawName {
    return this.#at(this.depth).name;
  }

  /** The names from the top to the current directory, without the top's own. */
  get path(): RawName[] {
    return this.#links.slice(1).map(({ name }) => name);
  }

  #at(depth: number): Link {
    return this.#links[depth] as Link;
  }

  #fdAt(depth: number): Fd {
    const { fd } = this.#at(depth);
    if (fd === null) throw new SyscallError("chain", "EBADF");
    return fd;
  }

  /** Enters the directory `name`, which was opened as `fd`; takes ownership of it. */
  enter(name: RawName, fd: Fd, identity: string): void {
    this.#links.push({ name, identity, fd });
    const outer = this.depth - STEP;
    if (outer <= 0 || outer % STEP === 0) return;
    this.#at(outer).fd?.close();
    this.#at(outer).fd = null;
  }

  /** Opens the directory `name` of the current one and enters it. Returns its descriptor, which the chain owns. */
  open(name: RawName): Fd {
    const fd = openDirectory(this.current, name);
    this.enter(name, fd, this.#identityOf(fd));
    return fd;
  }

  /** Closes `fd` on failure. */
  #identityOf(fd: Fd): string {
    try {
      return this.#status.readFd(fd).identity;
    } catch (error) {
      fd.close();
      throw error;
    }
  }

  /** Returns to the parent directory. */
  leave(): void {
    this.#links.pop()?.fd?.close();
    if (this.#at(this.depth).fd === null) this.#reopen();
  }

  /**
   * Opens the closed directories again, from the last open one to the innermost. Throws `ESTALE` where one was
   * replaced.
   */
  #reopen(): void {
    let depth = this.depth;
    while (this.#at(depth).fd === null) depth--;
    for (depth++; depth <= this.depth; depth++) {
      const link = this.#at(depth);
      const fd = openDirectory(this.#fdAt(depth - 1), link.name);
      link.fd = fd;
      if (this.#status.readFd(fd).identity !== link.identity)
        throw new SyscallError("open", "ESTALE", textOf(link.name));
    }
  }

  [Symbol.dispose](): void {
    for (const { fd } of this.#links) fd?.close();
  }
}
