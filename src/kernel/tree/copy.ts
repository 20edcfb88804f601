// Copies a tree unchanged: kinds, owners, modes, times, extended attributes, hard links, holes, devices. Data is shared
// with the original where the file system supports it. Stays on one mount: a mount point becomes an empty directory. A
// copy that is inside of its original is left out. The source is untrusted and may change meanwhile: a file is opened
// only after its kind was checked.

import type { Fd } from "../file/fd.ts";
import type { FileKind } from "../file/status.ts";
import { AT_SYMLINK_NOFOLLOW, EMLINK } from "../syscall/constants.ts";
import { check, isErrno, SyscallError, trySys } from "../syscall/sys.ts";
import { copyAttributes } from "./copy-attributes.ts";
import { type CopyManner, copyOwnership, fillRegular, setTimes } from "./copy-file.ts";
import { DirectoryChain, WALK_DEPTH_LIMIT } from "./directory-chain.ts";
import { createFile, makeLike } from "./link.ts";
import { LinkTable } from "./link-table.ts";
import { NameStack } from "./name-stack.ts";
import { RawStatus } from "./raw-status.ts";
import { openDirectory, openEntry, type RawName, rawAddress, textOf } from "./tree.ts";
import { walkBoth } from "./walk.ts";

export interface CopyProgress {
  files: number;
  bytes: number;
}

export interface CopyOptions {
  /** Directories, by `RawStatus.identity`, that become empty directories in the copy. */
  readonly leaveEmpty?: ReadonlySet<string>;
  /** The source must not change: a file that has disappeared is an error (`ENOENT`) instead of being omitted. */
  readonly isWhole?: boolean;
  onProgress?(progress: CopyProgress): void;
  /**
   * Called when much data has to be copied that cannot be shared. Returns helpers, or null where none are available.
   */
  startHelpers?(): CopyHelpers | null;
  /** Called for a file whose extended attributes `what` could not be copied. */
  onLoss?(path: string, what: readonly string[]): void;
}

/** Helper processes that copy regular files in parallel. */
export interface CopyHelpers {
  /**
   * Lets a helper copy the file `entry` into `target`; returns false where all are busy. The caller still owns both.
   */
  offer(entry: Fd, target: Fd, path: string): boolean;
  /** Blocks until all accepted files are copied; throws where one failed. */
  finish(): void;
  /** Ends the helpers at once. */
  stop(): void;
}

/** After this many files or bytes, starting helpers is worth its cost. */
const MUCH_FILES = 4000;
const MUCH_BYTES = 256 << 20;

/** The number of files between two reports of progress. */
const STEP_FILES = 512;

/** Copies content and properties of the directory `source` to the empty directory `target`. Returns the totals. */
export function copyTree(source: Fd, target: Fd, options: CopyOptions = {}): CopyProgress {
  using copy = new TreeCopy(source, target, options);
  return copy.run();
}

class TreeCopy implements Disposable {
  readonly #options: CopyOptions;
  readonly #progress: CopyProgress = { files: 0, bytes: 0 };
  readonly #status = new RawStatus();
  readonly #target: Fd;
  readonly #mountId: bigint;
  /** The identity of the copy, which may be inside of its original and is not copied into itself. */
  readonly #targetIdentity: string;
  readonly #from: DirectoryChain;
  readonly #to: DirectoryChain;
  readonly #linked: LinkTable;
  readonly #names: NameStack;
  readonly #manner: CopyManner = { sharing: { mayShare: true }, onBytes: (count) => this.#countBytes(count) };
  #helpers: CopyHelpers | null | undefined = undefined;

  constructor(source: Fd, target: Fd, options: CopyOptions) {
    this.#options = options;
    this.#target = target;
    this.#linked = new LinkTable(target);
    this.#names = new NameStack(target);
    this.#targetIdentity = this.#status.readFd(target).identity;
    this.#mountId = this.#status.readFd(source).mountId;
    using owner = new DisposableStack();
    this.#from = owner.use(new DirectoryChain(source.duplicate(), new RawStatus()));
    this.#to = new DirectoryChain(target.duplicate(), new RawStatus());
    owner.move();
  }

  run(): CopyProgress {
    walkBoth(
      { from: this.#from, to: this.#to, names: this.#names },
      { entry: (name) => this.#copyEntry(name), end: () => this.#finishDirectory() },
    );
    this.#helpers?.finish();
    return this.#progress;
  }

  [Symbol.dispose](): void {
    this.#helpers?.stop();
    this.#from[Symbol.dispose]();
    this.#to[Symbol.dispose]();
    this.#linked[Symbol.dispose]();
    this.#names[Symbol.dispose]();
  }

  /** Copies one entry; returns true for a directory, which both chains have then entered. */
  #copyEntry(name: RawName): boolean {
    try {
      using entry = openEntry(this.#from.current, name);
      const { kind } = this.#status.readFd(entry);
      this.#countFile();
      if (kind === "directory") return this.#enter(name);
      if (this.#status.links > 1 && this.#linkAgain(name)) return false;
      if (kind === "regular") this.#copyRegular(entry, name);
      else this.#copySpecial(entry, name, kind);
      return false;
    } catch (error) {
      // The entry was removed before it could be opened.
      if (isErrno(error, "ENOENT") && error.syscall === "open" && !this.#options.isWhole) return false;
      throw this.#explain(error, name);
    }
  }

  #explain(error: unknown, name: RawName): unknown {
    if (!(error instanceof SyscallError)) return error;
    return new SyscallError(error.syscall, error.errno, this.#pathOf(name));
  }

  #pathOf(name: RawName): string {
    return textOf([...this.#from.path, name].join("/"));
  }

  #countFile(): void {
    this.#progress.files++;
    if (this.#progress.files % STEP_FILES === 0) this.#options.onProgress?.(this.#progress);
  }

  #countBytes(bytes: number): void {
    this.#progress.bytes += bytes;
    this.#options.onProgress?.(this.#progress);
  }

  /** Makes and enters a directory; returns false for one that must stay empty. */
  #enter(name: RawName): boolean {
    if (this.#from.depth >= WALK_DEPTH_LIMIT) throw new SyscallError("mkdir", "ENAMETOOLONG");
    using owner = new DisposableStack();
    const inner = owner.use(openDirectory(this.#from.current, name));
    const { identity, mountId, mode } = this.#status.readFd(inner);
    if (identity === this.#targetIdentity) return false;
    check(trySys("mkdirat", this.#to.current.number, rawAddress(name), 0o700), "mkdir");
    if (mountId !== this.#mountId || this.#options.leaveEmpty?.has(identity)) {
      this.#setOwner(name, mode);
      setTimes(this.#to.current, name, this.#status);
      return false;
    }
    this.#to.open(name);
    this.#from.enter(name, inner, identity);
    owner.move();
    return true;
  }

  /**
   * Sets the properties of a directory after its content, which changed its times and may have needed more permissions.
   */
  #finishDirectory(): void {
    const [from, to] = [this.#from.current, this.#to.current];
    this.#status.readFd(from);
    copyOwnership(to, this.#status);
    this.#reportLoss(".", copyAttributes(from, to, true));
    setTimes(to, ".", this.#status);
  }

  #reportLoss(name: RawName, lost: readonly string[]): void {
    if (lost.length > 0) this.#options.onLoss?.(this.#pathOf(name), lost);
  }

  #copyRegular(entry: Fd, name: RawName): void {
    const to = { directory: this.#to.current, name };
    using target = createFile(to, 0o600);
    if (this.#activeHelpers()?.offer(entry, target, this.#pathOf(name)) === true) {
      this.#countBytes(this.#status.size);
      return;
    }
    this.#reportLoss(name, fillRegular(entry, this.#status, target, this.#manner));
  }

  /** Returns the helpers; starts them when much was copied without sharing. */
  #activeHelpers(): CopyHelpers | null {
    const { files, bytes } = this.#progress;
    if (this.#helpers !== undefined || this.#manner.sharing.mayShare) return this.#helpers ?? null;
    if (files < MUCH_FILES && bytes < MUCH_BYTES) return null;
    this.#helpers = this.#options.startHelpers?.() ?? null;
    return this.#helpers;
  }

  #copySpecial(entry: Fd, name: RawName, kind: FileKind): void {
    makeLike(entry, this.#status, { directory: this.#to.current, name });
    this.#setOwner(name, kind === "symlink" ? null : this.#status.mode);
    using copy = openEntry(this.#to.current, name);
    this.#reportLoss(name, copyAttributes(entry, copy, false));
    setTimes(this.#to.current, name, this.#status);
  }

  #setOwner(name: RawName, mode: number | null): void {
    const to = this.#to.current.number;
    const { uid, gid } = this.#status;
    check(trySys("fchownat", to, rawAddress(name), uid, gid, AT_SYMLINK_NOFOLLOW), "chown");
    if (mode !== null) check(trySys("fchmodat", to, rawAddress(name), mode & 0o7777), "chmod");
  }

  /**
   * Makes `name` a hard link to the copy of another name of its file; remembers it and returns false where it is the
   * first.
   */
  #linkAgain(name: RawName): boolean {
    const first = this.#linked.find(this.#status);
    if (first !== null && this.#link(first.path.split("/"), name)) return true;
    this.#linked.add(this.#status, { path: [...this.#to.path, name].join("/"), note: "" });
    return false;
  }

  /**
   * Links `name` to the copy at `path`. Opens the first directories of a path that is longer than PATH_MAX one by one.
   */
  #link(path: readonly RawName[], name: RawName): boolean {
    using chain = new DirectoryChain(this.#target.duplicate(), new RawStatus());
    let at = 0;
    for (; path.length - at > LINK_STEPS; at++) {
      chain.open(path[at] as RawName);
    }
    const rest = rawAddress(path.slice(at).join("/"));
    const result = trySys("linkat", chain.current.number, rest, this.#to.current.number, rawAddress(name), 0);
    if (result === EMLINK) return false;
    check(result, "link");
    return true;
  }
}

/** How many names of 255 bytes fit into one path. */
const LINK_STEPS = 15;
