// From a hidden temporary name to the final one: an image appears whole or not at all, whenever the program or the machine
// dies. Temporary files are locked as long as somebody works on them; what is not locked was left by a crash.
import { randomBytes } from "node:crypto";
import { mkdirSync, openSync } from "node:fs";
import { join } from "node:path";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { avoidCopyOnWrite, pathOf } from "../../kernel/file/attributes.ts";
import { Fd, openPath, statAt, statFd } from "../../kernel/file/fd.ts";
import { lockWhole } from "../../kernel/file/lock.ts";
import { changeMode } from "../../kernel/file/ownership.ts";
import { EEXIST } from "../../kernel/syscall/constants.ts";
import { check, isErrno } from "../../kernel/syscall/sys.ts";
import { createSubvolume, isBtrfs, snapshotSubvolume } from "../../kernel/tree/btrfs.ts";
import { tryRenameNew } from "../../kernel/tree/link.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { openDirectory } from "../../kernel/tree/tree.ts";
import { abandonWithUs, requireWanted } from "../program/abandon.ts";
import { log } from "../program/log.ts";
import { tryMakeDirectory } from "../tar/untar-calls.ts";
import { lockTree } from "./marks.ts";
import { placeIn, replaceFile, replaceImage } from "./replace.ts";
import { writeOut } from "./write-out.ts";

export interface InstallOptions {
  /** Takes the place of what has the name. */
  readonly force: boolean;
  readonly readOnly: boolean;
  /** Makes sure that the image survives a power cut once this is done. */
  readonly sync: boolean;
  /** The directory of this host's lock files; null for no locking. */
  readonly locks: string | null;
}

const ROOT_MODE = 0o700;

/** Opens a directory of images; one that is missing is made. */
export function openImageRoot(path: string): Fd {
  mkdirSync(path, { recursive: true, mode: ROOT_MODE });
  return openPath(path, "directory");
}

export type StageLabel = "tar" | "raw" | "settings" | "roothash" | "roothash.p7s" | "verity" | "oci" | "fs" | "export";

/** Something in the making, under a hidden name. Unless it is installed it is removed again. */
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

  /** A snapshot of the subvolume `source`, which must be on the file system of `root`. */
  static snapshot(root: Fd, label: StageLabel, source: Fd): Stage {
    return Stage.made(root, label, (name) => {
      snapshotSubvolume(source, root, name);
      return openDirectory(root, name);
    });
  }

  /** Calls `make` with a hidden name, until what it made is locked before anybody takes it for left over. */
  private static made(root: Fd, label: StageLabel, make: (name: string) => Fd): Stage {
    requireWanted();
    for (;;) {
      const name = temporaryName(label);
      const file = make(name);
      // Whoever sweeps may have taken it for left over between the two.
      if (lockWhole(file) && exists(root, name)) return Stage.adopt(root, name, file);
      file.close();
    }
  }

  /** Something under a hidden name that is there already, open and locked. */
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
   * Gives it its final name. `EEXIST` when the name is taken and `force` is not set, `EBUSY` when what has the name is in
   * use: whatever is replaced is locked until it is gone.
   */
  install(finalName: string, options: InstallOptions): void {
    this.#requirePending();
    const { kind } = statFd(this.file);
    const path = join(pathOf(this.#root), finalName);
    if (options.sync) writeOut(this.file, kind === "directory" ? "all" : "file", path);
    // Before it can be seen where that is possible: a crash must not leave an image writable that should not be.
    if (options.readOnly && kind === "regular") changeMode(this.file, statFd(this.file).mode & 0o555);
    const result = tryRenameNew(placeIn(this.#root, this.#name), placeIn(this.#root, finalName));
    if (result === EEXIST && options.force) replaceImage(this.#root, this.#name, finalName, options.locks);
    else check(result, "rename", finalName);
    this.#settle();
    if (options.readOnly && kind === "directory") lockTree(this.file);
    if (options.sync) writeOut(this.#root, "file");
  }

  /** Gives a file its final name; a regular file that has the name gives way, and nothing else does. */
  putFile(finalName: string, { sync }: { readonly sync: boolean }): void {
    this.#requirePending();
    if (sync) writeOut(this.file, "file", join(pathOf(this.#root), finalName));
    replaceFile(this.#root, this.#name, finalName);
    this.#settle();
    if (sync) writeOut(this.#root, "file");
  }

  /** What was removed, installed or abandoned has no name that it could be renamed from. */
  #requirePending(): void {
    requireWanted();
    if (!this.#isPending) throw new ErrnoError("ECANCELED", `'${this.#name}' is not there any more.`);
  }

  #settle(): void {
    this.#isPending = false;
    this.#registration.settled();
  }

  /** Leaves it where it is, under its hidden name, for a later call to go on with. */
  keep(): void {
    this.#settle();
  }

  /** Removes it, unless it was installed or kept. What cannot be removed (a broken disk) is left, and hides no earlier failure. */
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
  return `.#${label}${randomBytes(8).toString("hex")}`;
}
