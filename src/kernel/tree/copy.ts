// Copying a tree as it is: kinds, owners, modes, times, extended attributes, hard links, holes, devices. Data is shared
// with the original where the file system can. It stays on one mount: where another begins, the copy has an empty
// directory. The source may change meanwhile and may be hostile: nothing is opened before it is known to be a plain file.

import type { Fd } from "../file/fd.ts";
import type { FileKind } from "../file/status.ts";
import { AT_SYMLINK_NOFOLLOW, EMLINK } from "../syscall/constants.ts";
import { check, isErrno, SyscallError, trySys } from "../syscall/sys.ts";
import { type CopyManner, copyAttributes, copyOwnership, fillRegular, setTimes } from "./copy-file.ts";
import { createFile, makeLike } from "./link.ts";
import { LinkTable, NameStack } from "./spill.ts";
import {
  DirectoryChain,
  openDirectory,
  openEntry,
  pushEntries,
  type RawName,
  RawStatus,
  rawAddress,
  textOf,
  WALK_DEPTH_LIMIT,
} from "./tree.ts";

export interface CopyProgress {
  files: number;
  bytes: number;
}

export interface CopyOptions {
  /** Directories (`RawStatus.identity`) that become empty ones in the copy. */
  readonly leaveEmpty?: ReadonlySet<string>;
  /** Nobody may remove anything of the source meanwhile: a file that is gone when its turn comes is an error (`ENOENT`). */
  readonly isWhole?: boolean;
  onProgress?(progress: CopyProgress): void;
  /** Called when there turns out to be much to copy that cannot be shared; null where nobody can help. */
  startHelpers?(): CopyHelpers | null;
  /** Something of a file could not be kept. */
  onLoss?(path: string, what: readonly string[]): void;
}

/** Others who copy regular files at the same time. */
export interface CopyHelpers {
  /** Has somebody fill `target` with the file that `entry` names; false when all are busy. Both stay the caller's. */
  offer(entry: Fd, target: Fd, path: string): boolean;
  /** Waits until all that was taken is copied; throws when something could not be. */
  finish(): void;
  /** Ends them, whatever they are doing. */
  stop(): void;
}

/** So many regular files were copied before helpers are worth their start. */
const MUCH_FILES = 4000;
const MUCH_BYTES = 256 << 20;

/** Files between two reports of progress. */
const STEP_FILES = 512;

/** Copies the content and the properties of the directory `source` to the empty directory `target`. */
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
    this.#mountId = this.#status.readFd(source).mountId;
    this.#from = new DirectoryChain(source.duplicate(), new RawStatus());
    this.#to = new DirectoryChain(target.duplicate(), new RawStatus());
  }

  run(): CopyProgress {
    /** How many names are left to do in each directory from the top to here. */
    const pending = [pushEntries(this.#from.current, this.#names)];
    for (;;) {
      const left = pending.at(-1) as number;
      if (left > 0) {
        pending[pending.length - 1] = left - 1;
        if (this.#copyEntry(this.#names.pop())) pending.push(pushEntries(this.#from.current, this.#names));
        continue;
      }
      this.#finishDirectory();
      if (this.#from.depth === 0) break;
      this.#from.leave();
      this.#to.leave();
      pending.pop();
    }
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

  /** Copies one entry; true when it is a directory, which both chains have entered now. */
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
      // The original went away before it could be looked at.
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

  #enter(name: RawName): boolean {
    if (this.#from.depth >= WALK_DEPTH_LIMIT) throw new SyscallError("mkdir", "ENAMETOOLONG");
    const inner = openDirectory(this.#from.current, name);
    const { identity, mountId, mode } = this.#status.readFd(inner);
    check(trySys("mkdirat", this.#to.current.number, rawAddress(name), 0o700), "mkdir");
    if (mountId !== this.#mountId || this.#options.leaveEmpty?.has(identity)) {
      inner.close();
      this.#own(name, mode);
      setTimes(this.#to.current, name, this.#status);
      return false;
    }
    this.#from.enter(name, inner, identity);
    const copy = openDirectory(this.#to.current, name);
    this.#to.enter(name, copy, this.#status.readFd(copy).identity);
    return true;
  }

  /** After its content, whose arrival has changed its times, and before that perhaps needed more rights than it gives. */
  #finishDirectory(): void {
    const [from, to] = [this.#from.current, this.#to.current];
    this.#status.readFd(from);
    copyOwnership(to, this.#status);
    this.#tellLoss(".", copyAttributes(from, to, true));
    setTimes(to, ".", this.#status);
  }

  #tellLoss(name: RawName, lost: readonly string[]): void {
    if (lost.length > 0) this.#options.onLoss?.(this.#pathOf(name), lost);
  }

  #copyRegular(entry: Fd, name: RawName): void {
    const to = { directory: this.#to.current, name };
    using target = createFile(to, 0o600);
    if (this.#help()?.offer(entry, target, this.#pathOf(name)) === true) {
      this.#countBytes(this.#status.size);
      return;
    }
    this.#tellLoss(name, fillRegular(entry, this.#status, target, this.#manner));
  }

  /** Those who help, from when it pays to start them. */
  #help(): CopyHelpers | null {
    const { files, bytes } = this.#progress;
    if (this.#helpers !== undefined || this.#manner.sharing.mayShare) return this.#helpers ?? null;
    if (files < MUCH_FILES && bytes < MUCH_BYTES) return null;
    this.#helpers = this.#options.startHelpers?.() ?? null;
    return this.#helpers;
  }

  #copySpecial(entry: Fd, name: RawName, kind: FileKind): void {
    makeLike(entry, this.#status, { directory: this.#to.current, name });
    this.#own(name, kind === "symlink" ? null : this.#status.mode);
    using copy = openEntry(this.#to.current, name);
    this.#tellLoss(name, copyAttributes(entry, copy, false));
    setTimes(this.#to.current, name, this.#status);
  }

  #own(name: RawName, mode: number | null): void {
    const to = this.#to.current.number;
    const { uid, gid } = this.#status;
    check(trySys("fchownat", to, rawAddress(name), uid, gid, AT_SYMLINK_NOFOLLOW), "chown");
    if (mode !== null) check(trySys("fchmodat", to, rawAddress(name), mode & 0o7777), "chmod");
  }

  /** Makes `name` another name of a file that was copied already; false when it is the first one. */
  #linkAgain(name: RawName): boolean {
    const first = this.#linked.find(this.#status);
    if (first !== null && this.#link(first.path.split("/"), name)) return true;
    this.#linked.add(this.#status, { path: [...this.#to.path, name].join("/"), note: "" });
    return false;
  }

  /** A path may be longer than the kernel takes at once: then the way to the directory is gone step by step. */
  #link(path: readonly RawName[], name: RawName): boolean {
    using chain = new DirectoryChain(this.#target.duplicate(), new RawStatus());
    let at = 0;
    for (; path.length - at > LINK_STEPS; at++) {
      const inner = openDirectory(chain.current, path[at] as RawName);
      chain.enter(path[at] as RawName, inner, "");
    }
    const rest = rawAddress(path.slice(at).join("/"));
    const result = trySys("linkat", chain.current.number, rest, this.#to.current.number, rawAddress(name), 0);
    if (result === EMLINK) return false;
    check(result, "link");
    return true;
  }
}

/** So many names of 255 bytes fit into one path. */
const LINK_STEPS = 15;
