// Walks source and target of a merging copy (copy-merge.ts).

import { Fd } from "../file/fd.ts";
import {
  O_CLOEXEC,
  O_NOFOLLOW,
  O_PATH,
  RESOLVE_BENEATH,
  RESOLVE_NO_MAGICLINKS,
  RESOLVE_NO_SYMLINKS,
} from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { check, isErrno, SyscallError, trySys } from "../syscall/sys.ts";
import type { EntryCopier, EntryOptions } from "./copy-entry.ts";
import { DirectoryChain, WALK_DEPTH_LIMIT } from "./directory-chain.ts";
import { makeDirectory, type NamedPlace } from "./link.ts";
import { type FirstName, LinkTable } from "./link-table.ts";
import { NameStack } from "./name-stack.ts";
import { RawStatus } from "./raw-status.ts";
import { openDirectory, openEntry, type RawName, rawAddress, textOf } from "./tree.ts";
import { walkBoth } from "./walk.ts";

/** Errors after which all further files would fail too. */
const FATAL = ["ENOSPC", "EDQUOT", "EROFS", "EIO", "ENOMEM", "EMFILE", "ENFILE", "ESTALE"];

/** Walks through the original and its copy at the same time. */
export class TreeMerge implements Disposable {
  readonly #copier: EntryCopier;
  readonly #replace: boolean;
  readonly #status = new RawStatus();
  readonly #top: Fd;
  readonly #topIdentity: string;
  readonly #from: DirectoryChain;
  readonly #to: DirectoryChain;
  /** Whether the whole target was made for this copy, under a temporary name. */
  readonly #isNewTree: boolean;
  /** For each directory of the chains, whether it was made here. */
  readonly #isNew: boolean[];
  /** The first copies of files with several names; the note is the copy's identity. */
  readonly #linked: LinkTable;
  readonly #names: NameStack;
  #failure: SyscallError | null = null;

  /** Takes ownership of both directories. `isNew`: `to` was made for this copy, under a temporary name. */
  constructor(from: Fd, to: Fd, isNew: boolean, copier: EntryCopier, options: EntryOptions) {
    this.#copier = copier;
    this.#replace = options.replace;
    this.#isNewTree = isNew;
    this.#isNew = [isNew];
    this.#top = to.duplicate();
    this.#linked = new LinkTable(this.#top);
    this.#names = new NameStack(this.#top);
    this.#topIdentity = this.#status.readFd(to).identity;
    this.#from = new DirectoryChain(from, new RawStatus());
    this.#to = new DirectoryChain(to, new RawStatus());
  }

  /** Copies everything; returns the first failure of a single file, or null. Throws fatal errors. */
  run(): SyscallError | null {
    walkBoth(
      { from: this.#from, to: this.#to, names: this.#names },
      { entry: (name) => this.#copyEntry(name), end: () => this.#finishDirectory() },
    );
    return this.#failure;
  }

  [Symbol.dispose](): void {
    this.#from[Symbol.dispose]();
    this.#to[Symbol.dispose]();
    this.#top.close();
    this.#linked[Symbol.dispose]();
    this.#names[Symbol.dispose]();
  }

  /** Copies one entry; returns true for a directory, which both chains have then entered. */
  #copyEntry(name: RawName): boolean {
    let isEntered = false;
    this.#attempt(() => {
      using entry = openEntry(this.#from.current, name);
      const { kind } = this.#status.readFd(entry);
      if (kind === "directory") isEntered = this.#enter(name);
      else this.#copyFile(entry, name);
    }, name);
    return isEntered;
  }

  /** Sets the properties of the current directory where it was made here. */
  #finishDirectory(): void {
    if (!this.#isNew.pop()) return;
    this.#attempt(() => this.#copier.finishDirectory(this.#from.current, this.#to.current, this.#status));
  }

  #copyFile(entry: Fd, name: RawName): void {
    try {
      this.#copyFileTo(entry, name, this.#isNewTree);
    } catch (error) {
      if (!this.#isNewTree || !isErrno(error, "EEXIST")) throw error;
      // Names of one directory that are the same in the other (case-insensitive file systems).
      this.#copyFileTo(entry, name, false);
    }
  }

  #copyFileTo(entry: Fd, name: RawName, isNewTree: boolean): void {
    const status = this.#status;
    const { kind, links } = status;
    const first = links > 1 ? this.#linked.find(status) : null;
    const place = { directory: this.#to.current, name };
    if (first !== null && this.#linkAgain(first, place, isNewTree)) return;
    if (kind !== "regular") this.#copier.copySpecial(entry, status, place, isNewTree);
    else if (isNewTree) this.#copier.copyIntoNewTree(entry, status, place.directory, name);
    else this.#copier.copyRegular(entry, status, place.directory, name);
    if (links > 1) this.#remember(name);
  }

  /**
   * Runs `step`; records a failure that concerns one file only. Files that are kept or have disappeared are no
   * failures.
   */
  #attempt(step: () => void, name: RawName = "."): void {
    try {
      step();
    } catch (error) {
      if (!(error instanceof SyscallError)) throw error;
      const failure = new SyscallError(error.syscall, error.errno, textOf([...this.#from.path, name].join("/")));
      if (FATAL.includes(error.errnoName)) throw failure;
      if (isErrno(error, "EEXIST") && !this.#replace) return;
      if (isErrno(error, "ENOENT") && error.syscall === "open") return;
      this.#failure ??= failure;
    }
  }

  #enter(name: RawName): boolean {
    if (this.#from.depth >= WALK_DEPTH_LIMIT) throw new SyscallError("mkdir", "ENAMETOOLONG");
    const inner = openDirectory(this.#from.current, name);
    try {
      const { identity } = this.#status.readFd(inner);
      // The copy is inside its original, and must not be copied into itself.
      if (identity === this.#topIdentity) {
        inner.close();
        return false;
      }
      const isNew = makeDirectory({ directory: this.#to.current, name }, this.#replace);
      this.#to.open(name);
      this.#from.enter(name, inner, identity);
      this.#isNew.push(isNew);
      return true;
    } catch (error) {
      inner.close();
      throw error;
    }
  }

  #remember(name: RawName): void {
    const path = [...this.#to.path, name].join("/");
    using copy = openEntry(this.#to.current, name);
    this.#linked.add(this.#status, { path, note: new RawStatus().readFd(copy).identity });
  }

  /** Makes `place` a hard link to `first`; returns false where that copy has been changed or cannot be linked. */
  #linkAgain(first: FirstName, place: NamedPlace, isNewTree: boolean): boolean {
    try {
      using known = openSame(this.#top, first);
      if (known === null) return false;
      this.#copier.link(known, place, isNewTree);
      return true;
    } catch (error) {
      if (isErrno(error, "EMLINK", "ENOENT", "ENOTDIR", "ELOOP", "EXDEV", "ENAMETOOLONG")) return false;
      throw error;
    }
  }
}

const PATH_FLAGS = O_PATH | O_NOFOLLOW | O_CLOEXEC;
const RESOLVE = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
// struct open_how { __u64 flags; __u64 mode; __u64 resolve; }
const how = pinForever(24);

/** Opens the file at a path below `top`; returns null where it is no longer the same file. */
function openSame(top: Fd, { path, note }: FirstName): Fd | null {
  how.view.setBigUint64(0, BigInt(PATH_FLAGS), true);
  how.view.setBigUint64(16, BigInt(RESOLVE), true);
  const found = Fd.adopt(check(trySys("openat2", top.number, rawAddress(path), how, how.size), "open"));
  if (new RawStatus().readFd(found).identity === note) return found;
  found.close();
  return null;
}
