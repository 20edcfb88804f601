// From a hidden temporary name to the final one: an image appears whole or not at all, whenever the program or the machine
// dies. Temporary files are locked as long as somebody works on them; what is not locked was left by a crash.
import { randomBytes } from "node:crypto";
import { mkdirSync, openSync } from "node:fs";
import { setBlockReadOnly } from "../kernel/block-device.ts";
import { createSubvolume, isBtrfs, isSubvolume, setSubvolumeReadOnly } from "../kernel/btrfs.ts";
import { Fd, openPath, statAt, statFd } from "../kernel/fd.ts";
import { avoidCopyOnWrite, changeFileFlags, FILE_FLAG, makeMutable } from "../kernel/file-attributes.ts";
import { removeTree } from "../kernel/remove-tree.ts";
import { check, isErrno, sys, trySys } from "../kernel/sys.ts";
import { openDirectory, openForReading, rawAddress, rawOf } from "../kernel/tree.ts";
import { changeMode, tryMakeDirectory } from "./untar-calls.ts";

export interface InstallOptions {
  /** Takes the place of what has the name. */
  readonly force: boolean;
  readonly readOnly: boolean;
  /** Makes sure that the image survives a power cut once this is done. */
  readonly sync: boolean;
}

const ROOT_MODE = 0o700;

/** Opens a directory of images; one that is missing is made. */
export function openImageRoot(path: string): Fd {
  mkdirSync(path, { recursive: true, mode: ROOT_MODE });
  return openPath(path, "directory");
}

export type StageLabel = "tar" | "raw" | "settings" | "roothash" | "roothash.p7s" | "verity" | "oci" | "fs" | "export";

const [LOCK_EX, LOCK_NB] = [2, 4];

/** Locks an open file without waiting; false when somebody else has the lock. */
export function tryLock(file: Fd): boolean {
  const result = trySys("flock", file.number, LOCK_EX | LOCK_NB);
  if (result === -11) return false;
  check(result, "flock");
  return true;
}

const [RENAME_NOREPLACE, RENAME_EXCHANGE] = [1, 2];
const [EPERM, EEXIST, EINVAL] = [-1, -17, -22];

function rename(root: Fd, from: string, to: string, flags: number): number {
  return trySys("renameat2", root.number, rawAddress(rawOf(from)), root.number, rawAddress(rawOf(to)), flags);
}

const pending = new Set<Disposable>();

/** Removes all that is in the making: for a process that ends now. */
export function abandonAll(): void {
  for (const thing of [...pending].reverse()) thing[Symbol.dispose]();
}

/** Has `thing` disposed of by `abandonAll()`, until it is told that it is settled. */
export function abandonWithUs(thing: Disposable): { settled(): void } {
  pending.add(thing);
  return { settled: () => void pending.delete(thing) };
}

/** What a later call can go on with. */
interface Resumable extends Disposable {
  keep(): void;
}

const resumable = new Set<Resumable>();

/** Has `thing` kept by `keepForLater()` and disposed of by `abandonAll()`, until it is told that it is settled. */
export function keepWhenInterrupted(thing: Resumable): { settled(): void } {
  resumable.add(thing);
  const abandoned = abandonWithUs(thing);
  return {
    settled: () => {
      resumable.delete(thing);
      abandoned.settled();
    },
  };
}

/** Whether there is anything to keep. */
export function canGoOnLater(): boolean {
  return resumable.size > 0;
}

/** Keeps what a later call can go on with: for a process that is interrupted now. */
export function keepForLater(): void {
  for (const thing of resumable) thing.keep();
}

/** Something in the making, under a hidden name. Unless it is installed it is removed again. */
export class Stage implements Disposable {
  readonly #root: Fd;
  readonly #name: string;
  readonly file: Fd;
  #isPending = true;

  private constructor(root: Fd, name: string, file: Fd) {
    this.#root = root;
    this.#name = name;
    this.file = file;
  }

  get name(): string {
    return this.#name;
  }

  /** Neither installed nor kept nor removed so far. */
  get isPending(): boolean {
    return this.#isPending;
  }

  /** An empty directory, a subvolume where `subvolume` is true and the file system has them. */
  static tree(root: Fd, label: StageLabel, subvolume: boolean): Stage {
    return Stage.made(root, label, (name) => {
      if (subvolume && isBtrfs(root)) createSubvolume(root, name);
      else check(tryMakeDirectory(root, name, 0o700), "mkdir", name);
      return openDirectory(root, name);
    });
  }

  /** An empty file. Copy-on-write is switched off for disk images, which are written in many places. */
  static file(root: Fd, label: StageLabel, mode = 0o600): Stage {
    return Stage.made(root, label, (name) => {
      const file = Fd.adopt(openSync(`/proc/self/fd/${root.number}/${name}`, "wx+", mode));
      if (label === "raw") avoidCopyOnWrite(file);
      return file;
    });
  }

  /** What `make` makes under the name it is given. */
  static made(root: Fd, label: StageLabel, make: (name: string) => Fd): Stage {
    for (;;) {
      const name = temporaryName(label);
      const file = make(name);
      // Whoever sweeps may have taken it for left over between the two.
      if (tryLock(file) && exists(root, name)) return Stage.adopt(root, name, file);
      file.close();
    }
  }

  /** Something under a hidden name that is there already, open and locked. */
  static adopt(root: Fd, name: string, file: Fd): Stage {
    const stage = new Stage(root, name, file);
    pending.add(stage);
    return stage;
  }

  /** Gives it its final name. EEXIST when the name is taken and `force` is not set. */
  install(finalName: string, options: InstallOptions): void {
    const { kind } = statFd(this.file);
    if (options.sync) sys(kind === "directory" ? "syncfs" : "fsync", this.file.number);
    // Before it can be seen where that is possible: a crash must not leave an image writable that should not be.
    if (options.readOnly && kind === "regular") changeMode(this.file, statFd(this.file).mode & 0o555);
    this.#rename(finalName, options.force);
    this.#settle();
    if (options.readOnly && kind === "directory") lockTree(this.file);
    if (options.sync) sys("fsync", this.#root.number);
  }

  #rename(finalName: string, force: boolean): void {
    let result = rename(this.#root, this.#name, finalName, RENAME_NOREPLACE);
    if (result === EINVAL) result = this.#renameByLookingFirst(finalName);
    if (result === EEXIST && force) this.#replace(finalName);
    else check(result, "rename", finalName);
  }

  /** Where the file system cannot rename without replacing. */
  #renameByLookingFirst(finalName: string): number {
    return exists(this.#root, finalName) ? EEXIST : rename(this.#root, this.#name, finalName, 0);
  }

  #replace(finalName: string): void {
    let result = rename(this.#root, this.#name, finalName, RENAME_EXCHANGE);
    if (result === EPERM) {
      using old = openForReading(this.#root, rawOf(finalName));
      makeMutable(old);
      result = rename(this.#root, this.#name, finalName, RENAME_EXCHANGE);
    }
    if (result === EINVAL) {
      removeTree(this.#root, rawOf(finalName));
      result = rename(this.#root, this.#name, finalName, 0);
    }
    check(result, "rename", finalName);
    removeTree(this.#root, this.#name);
  }

  #settle(): void {
    this.#isPending = false;
    pending.delete(this);
  }

  /** Leaves it where it is, under its hidden name, for a later call to go on with. */
  keep(): void {
    this.#settle();
  }

  /** Removes it, unless it was installed or kept. */
  [Symbol.dispose](): void {
    if (this.#isPending) {
      this.#settle();
      removeTree(this.#root, this.#name);
    }
    this.file.close();
  }
}

/** Marks a tree as read-only, as well as its file system can. */
export function lockTree(tree: Fd): void {
  try {
    if (isSubvolume(tree)) setSubvolumeReadOnly(tree, true);
    else changeFileFlags(tree, { set: FILE_FLAG.immutable });
  } catch (error) {
    // tmpfs and others keep no such mark: the image is there all the same.
    if (!isErrno(error, "ENOTTY", "EOPNOTSUPP", "EINVAL", "EPERM")) throw error;
  }
}

/** Makes a block device or file that was written in place refuse further writes. */
export function lockInPlace(file: Fd): void {
  if (statFd(file).kind === "block") setBlockReadOnly(file, true);
  else changeMode(file, statFd(file).mode & 0o555);
}

export function exists(root: Fd, name: string): boolean {
  try {
    statAt(root, name, "no-follow");
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}

export function temporaryName(label: string): string {
  return `.#${label}${randomBytes(8).toString("hex")}`;
}
