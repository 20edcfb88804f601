// From a hidden temporary name to the final one: an image appears complete or not at all, also after a crash of the
// program or the host. Temporary files are locked while a process works on them; an unlocked one was left by a crash.
import { mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { randomHex } from "../../base/random-hex.ts";
import { avoidCopyOnWrite, pathOf } from "../../kernel/file/attributes.ts";
import { requireWritten } from "../../kernel/file/byte-io.ts";
import { Fd, openPath, statAt, statFd } from "../../kernel/file/fd.ts";
import { lockWhole } from "../../kernel/file/lock.ts";
import { changeMode } from "../../kernel/file/ownership.ts";
import { EEXIST } from "../../kernel/syscall/constants.ts";
import { check, isErrno } from "../../kernel/syscall/sys.ts";
import { createSubvolume, isBtrfs, nestedSubvolumes, snapshotSubvolume } from "../../kernel/tree/btrfs.ts";
import { tryRenameNew } from "../../kernel/tree/link.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { snapshotNested } from "../../kernel/tree/snapshot.ts";
import { openDirectory } from "../../kernel/tree/tree.ts";
import { keepSpace } from "../../registry/image/pool.ts";
import { abandonWithUs, requireWanted } from "../program/abandon.ts";
import { log } from "../program/log.ts";
import { tryMakeDirectory } from "../untar/calls.ts";
import { lockTree } from "./read-only.ts";
import { placeIn, replaceFile, replaceImage } from "./replace.ts";
import { writeOut } from "./write-out.ts";

export interface InstallOptions {
  /** Whether an image of that name is replaced. */
  readonly force: boolean;
  readonly readOnly: boolean;
  /** Whether the image is synced to the disk, so that it survives a power cut. */
  readonly sync: boolean;
  /** The directory of this host's lock files; null for no locking. */
  readonly locks: string | null;
}

const ROOT_MODE = 0o700;

/** Opens a directory of images; makes a missing one. */
export function openImageRoot(path: string): Fd {
  mkdirSync(path, { recursive: true, mode: ROOT_MODE });
  return openPath(path, "directory");
}

export type StageLabel = "tar" | "raw" | "settings" | "roothash" | "roothash.p7s" | "verity" | "oci" | "fs" | "export";

/** An unfinished image or file under a hidden name. It is removed unless it is installed or kept. */
export class Stage implements Disposable {
  readonly #root: Fd;
  readonly #name: string;
  readonly file: Fd;
  readonly #registration = abandonWithUs(this);
  #isPending = true;

  private constructor(root: Fd, name: string, file: Fd) {
    this.#root = root;
    this.#name = name;
    this.file = file;
  }

  get name(): string {
    return this.#name;
  }

  /** Whether it was neither installed nor kept nor removed so far. */
  get isPending(): boolean {
    return this.#isPending;
  }

  /**
   * Makes an empty directory; a subvolume where `subvolume` is true and the file system has them, which counts in the
   * quota of the one around it.
   */
  static tree(root: Fd, label: StageLabel, subvolume: boolean): Stage {
    const isSubvolume = subvolume && isBtrfs(root);
    const stage = Stage.made(root, label, (name) => {
      if (isSubvolume) createSubvolume(root, name);
      else check(tryMakeDirectory(root, name, 0o700), "mkdir", name);
      return openDirectory(root, name);
    });
    if (isSubvolume) keepSpace(null, stage.file);
    return stage;
  }

  /** Makes an empty file. Copy-on-write is disabled for disk images, which are written in many places. */
  static file(root: Fd, label: StageLabel, mode = 0o600): Stage {
    return Stage.made(root, label, (name) => {
      const file = Fd.adopt(openSync(`/proc/self/fd/${root.number}/${name}`, "wx+", mode));
      if (label === "raw") avoidCopyOnWrite(file);
      return file;
    });
  }

  /**
   * Makes a writable snapshot of the subvolume `source` with those that are nested in it; it must be on the file system
   * of `root`.
   */
  static snapshot(root: Fd, label: StageLabel, source: Fd): Stage {
    // Listed first: the snapshot itself may be made inside of `source`.
    const nested = nestedSubvolumes(source);
    const stage = Stage.made(root, label, (name) => {
      snapshotSubvolume(source, root, name);
      return openDirectory(root, name);
    });
    try {
      snapshotNested(source, nested, stage.file, { leaveEmpty: new Set(), readOnly: false });
      keepSpace(null, stage.file);
      return stage;
    } catch (error) {
      stage[Symbol.dispose]();
      throw error;
    }
  }

  /** Calls `make` with new hidden names until an entry could be locked before a clean-up has removed it. */
  private static made(root: Fd, label: StageLabel, make: (name: string) => Fd): Stage {
    requireWanted();
    for (;;) {
      const name = temporaryName(label);
      const file = make(name);
      // A clean-up may have removed the entry between its creation and its lock.
      if (lockWhole(file) && exists(root, name)) return Stage.adopt(root, name, file);
      file.close();
    }
  }

  /** Takes over an existing entry under a hidden name, open and locked. */
  static adopt(root: Fd, name: string, file: Fd): Stage {
    return new Stage(root, name, file);
  }

  /** Lets `fill` write the content; returns the stage, which is removed if `fill` throws. */
  async filledBy(fill: (file: Fd) => Promise<unknown>): Promise<this> {
    try {
      await fill(this.file);
      return this;
    } catch (error) {
      this[Symbol.dispose]();
      throw error;
    }
  }

  /**
   * Renames it to its final name. Throws `EEXIST` when the name is taken and `force` is not set, `EBUSY` when the image
   * of that name is in use. An image that is replaced is locked until it is removed.
   */
  install(finalName: string, options: InstallOptions): void {
    this.#requirePending();
    const { kind } = statFd(this.file);
    const path = join(pathOf(this.#root), finalName);
    if (options.sync) writeOut(this.file, kind === "directory" ? "all" : "file", path);
    else if (kind === "regular") requireWritten(this.file);
    // Marked before the renaming where that is possible, so that a crash leaves no image writable.
    using marked = options.readOnly && kind === "regular" ? new DisposableStack() : null;
    if (marked !== null) {
      const { mode } = statFd(this.file);
      changeMode(this.file, mode & 0o555);
      // Without the name it may be installed under another one, which is not to be read-only.
      marked.defer(() => changeMode(this.file, mode & 0o7777));
    }
    const result = tryRenameNew(placeIn(this.#root, this.#name), placeIn(this.#root, finalName));
    if (result === EEXIST && options.force) replaceImage(this.#root, this.#name, finalName, options.locks);
    else check(result, "rename", finalName);
    marked?.move();
    this.#settle();
    if (options.readOnly && kind === "directory") lockTree(this.file);
    if (options.sync) writeOut(this.#root, "file");
  }

  /** Renames a file to its final name; replaces a regular file of that name, but no other kind of file. */
  putFile(finalName: string, { sync }: { readonly sync: boolean }): void {
    this.#requirePending();
    if (sync) writeOut(this.file, "file", join(pathOf(this.#root), finalName));
    else requireWritten(this.file);
    replaceFile(this.#root, this.#name, finalName);
    this.#settle();
    if (sync) writeOut(this.#root, "file");
  }

  /** Throws for a stage that was removed, installed or abandoned: it has no name any more. */
  #requirePending(): void {
    requireWanted();
    if (!this.#isPending) throw new ErrnoError("ECANCELED", `'${this.#name}' was removed meanwhile.`);
  }

  #settle(): void {
    this.#isPending = false;
    this.#registration.settled();
  }

  /** Keeps it under its hidden name, so that a later call can resume it. */
  keep(): void {
    this.#settle();
  }

  /**
   * Removes it, unless it was installed or kept. A failure (a broken disk) is logged and not thrown: it would hide an
   * earlier one.
   */
  [Symbol.dispose](): void {
    if (this.#isPending) {
      this.#settle();
      try {
        removeTree(this.#root, this.#name);
      } catch (error) {
        if (errnoNameOf(error) === null) throw error;
        log("warning", `Failed to remove '${join(pathOf(this.#root), this.#name)}': ${(error as Error).message}`);
      } finally {
        this.file.close();
      }
    }
    this.file.close();
  }
}

export function exists(root: Fd, name: string): boolean {
  try {
    statAt(root, name, "no-follow");
    return true;
  } catch (error) {
    // No file has a name that is too long.
    if (isErrno(error, "ENOENT", "ENAMETOOLONG")) return false;
    throw error;
  }
}

export function temporaryName(label: string): string {
  return `.#${label}${randomHex(8)}`;
}
