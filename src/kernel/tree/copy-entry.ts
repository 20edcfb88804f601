// Copies single files where a machine may change the source or the target tree meanwhile. A regular file is made
// without a name and linked when it is complete; no path with more than one component is used. The umask must be 0. See
// open(2) "O_TMPFILE", linkat(2), renameat2(2).
import { randomHex } from "../../base/random-hex.ts";
import { requireWritten, writeWhole } from "../file/byte-io.ts";
import { Fd } from "../file/fd.ts";
import {
  AT_EMPTY_PATH,
  AT_SYMLINK_NOFOLLOW,
  O_CLOEXEC,
  O_CREAT,
  O_EXCL,
  O_TMPFILE,
  O_WRONLY,
} from "../syscall/constants.ts";
import { pinForever } from "../syscall/mem.ts";
import { check, SyscallError, trySys } from "../syscall/sys.ts";
import { copyAttributesAs } from "./copy-attributes.ts";
import { copyData, setTimes, setTimesOf, shareData } from "./copy-file.ts";
import { createFile, makeLike, type NamedPlace, tryRenameNew } from "./link.ts";
import { reopenForReading } from "./own-file.ts";
import { type OwnerPolicy, permissionsFor } from "./owner-policy.ts";
import { RawStatus } from "./raw-status.ts";
import { openEntry, type RawName, rawAddress } from "./tree.ts";

/** EISDIR, EOPNOTSUPP, ENOENT: the file system does not support O_TMPFILE. */
const NO_UNNAMED_FILES = [-21, -95, -2];

export interface EntryOptions {
  readonly policy: OwnerPolicy;
  /** Whether an existing file is replaced, unless it is a directory (`EISDIR`). Otherwise it is `EEXIST`. */
  readonly replace: boolean;
  /** Called with the number of bytes of each step of a file's content, and with 0 for each entry. */
  onBytes(count: number): void;
}

/** Returns a random name for an incomplete file. */
function temporaryName(): RawName {
  return `.#copy-${randomHex(8)}`;
}

/** Copies entries that are not directories. */
export class EntryCopier {
  readonly #options: EntryOptions;
  readonly #copied = new RawStatus();
  #mayShare = true;

  constructor(options: EntryOptions) {
    this.#options = options;
  }

  /**
   * Copies the regular file `entry` (O_PATH), whose status is `status`, to `name` in a directory of a new tree, which
   * has a temporary name itself until it is complete: the file is made under its own name. Throws `EEXIST` where that
   * is taken.
   */
  copyIntoNewTree(entry: Fd, status: RawStatus, directory: Fd, name: RawName): void {
    this.#options.onBytes(0);
    using from = reopenForReading(entry);
    using to = createFile({ directory, name }, 0o600);
    try {
      this.#fill(from, to, status);
      this.#finish(from, to, status);
      setTimesOf(to, status);
    } catch (error) {
      trySys("unlinkat", directory.number, rawAddress(name), 0);
      throw error;
    }
  }

  /** Copies the regular file `entry` (O_PATH), whose status is `status`, to `name` in `directory`. */
  copyRegular(entry: Fd, status: RawStatus, directory: Fd, name: RawName): void {
    this.requireFree(directory, name);
    using from = reopenForReading(entry);
    const { file, temporary } = openNew(directory);
    using to = file;
    try {
      this.#fill(from, to, status);
      this.#finish(from, to, status);
      this.#place(temporary === null ? to : null, directory, temporary, name);
    } catch (error) {
      if (temporary !== null) trySys("unlinkat", directory.number, rawAddress(temporary), 0);
      throw error;
    }
    setTimes(directory, name, status);
  }

  /** Copies a symbolic link, fifo, socket or device. `isNewTree` as for `copyIntoNewTree()`. */
  copySpecial(entry: Fd, status: RawStatus, { directory, name }: NamedPlace, isNewTree = false): void {
    const made = this.#nameAtFirst(directory, name, isNewTree);
    makeLike(entry, status, { directory, name: made });
    const { uid, gid } = this.#ownerOf(status);
    check(trySys("fchownat", directory.number, rawAddress(made), uid, gid, AT_SYMLINK_NOFOLLOW), "chown");
    using copy = openEntry(directory, made);
    copyAttributesAs(entry, copy, this.#options.policy);
    setTimes(directory, made, status);
    if (made !== name) this.#place(null, directory, made, name);
  }

  /** Makes `name` in `directory` a hard link to `first`, a file that was copied before. */
  link(first: Fd, { directory, name }: NamedPlace, isNewTree: boolean): void {
    const made = this.#nameAtFirst(directory, name, isNewTree);
    check(trySys("linkat", first.number, rawAddress(""), directory.number, rawAddress(made), AT_EMPTY_PATH), "link");
    if (made !== name) this.#place(null, directory, made, name);
  }

  /** Returns the name under which an entry is made: its own, or a temporary one where it may replace another file. */
  #nameAtFirst(directory: Fd, name: RawName, isNewTree: boolean): RawName {
    if (!isNewTree) this.requireFree(directory, name);
    return this.#options.replace && !isNewTree ? temporaryName() : name;
  }

  /** Sets owner, permissions, attributes and times of a directory, after its content was copied. */
  finishDirectory(from: Fd, to: Fd, status: RawStatus): void {
    status.readFd(from);
    this.#finish(from, to, status);
    setTimes(to, ".", status);
  }

  #ownerOf(status: RawStatus): { uid: number; gid: number } {
    return this.#options.policy.owner ?? status;
  }

  /** Sets owner, permissions and attributes. */
  #finish(from: Fd, to: Fd, status: RawStatus): void {
    const { policy } = this.#options;
    const { uid, gid } = this.#ownerOf(status);
    check(trySys("fchown", to.number, uid, gid), "chown");
    check(trySys("fchmod", to.number, permissionsFor(status.mode, policy)), "chmod");
    copyAttributesAs(from, to, policy);
  }

  /** Copies the content. */
  #fill(from: Fd, to: Fd, status: RawStatus): void {
    if (status.size === 0) copyToEnd(from, to, this.#options);
    if (status.size === 0 || this.#share(from, to)) return;
    const reached = copyData(from, to, status, (count) => this.#options.onBytes(count));
    // The original may have been truncated meanwhile, or be a file of /sys, which has no blocks and ends before its
    // size; else, the copy must have the size that the original had.
    if (reached >= status.size || status.allocatedBytes === 0) return;
    if (this.#copied.readFd(from).size >= status.size) throw new SyscallError("copy", "EIO");
  }

  #share(from: Fd, to: Fd): boolean {
    if (!this.#mayShare) return false;
    const result = shareData(from, to);
    if (result === "never") this.#mayShare = false;
    return result === "shared";
  }

  /** Throws `EEXIST` or `EISDIR` where a name is taken; called before anything is copied for it. */
  requireFree(directory: Fd, name: RawName): void {
    this.#options.onBytes(0);
    const { memory } = this.#copied;
    const result = trySys("statx", directory.number, rawAddress(name), AT_SYMLINK_NOFOLLOW, 1, memory);
    if (result < 0) return;
    if (!this.#options.replace) throw new SyscallError("create", "EEXIST");
    if (this.#copied.kind === "directory") throw new SyscallError("create", "EISDIR");
  }

  /** Gives a finished file its name: links an unnamed one, renames one with a temporary name. */
  #place(unnamed: Fd | null, directory: Fd, made: RawName | null, name: RawName): void {
    const target = directory.number;
    let temporary = made;
    if (unnamed !== null) {
      const first = this.#options.replace ? temporaryName() : name;
      check(trySys("linkat", unnamed.number, rawAddress(""), target, rawAddress(first), AT_EMPTY_PATH), "link");
      temporary = first;
    }
    if (temporary === null || temporary === name) return;
    const result = this.#options.replace
      ? trySys("renameat2", target, rawAddress(temporary), target, rawAddress(name), 0)
      : tryRenameNew({ directory, name: temporary }, { directory, name });
    if (result < 0) trySys("unlinkat", target, rawAddress(temporary), 0);
    check(result, "rename");
  }
}

/** Opens a new file without a name; with a temporary name where the file system does not support that. */
function openNew(directory: Fd): { file: Fd; temporary: RawName | null } {
  const unnamed = trySys("openat", directory.number, rawAddress("."), O_TMPFILE | O_WRONLY | O_CLOEXEC, 0o600);
  if (unnamed >= 0) return { file: Fd.adopt(unnamed), temporary: null };
  if (!NO_UNNAMED_FILES.includes(unnamed)) check(unnamed, "create");
  const temporary = temporaryName();
  const flags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  const named = trySys("openat", directory.number, rawAddress(temporary), flags, 0o600);
  return { file: Fd.adopt(check(named, "create")), temporary };
}

const buffer = pinForever(64 << 10);

/** Copies a file to its end. For files with size 0: they are empty, or files of /proc and /sys, which have content. */
function copyToEnd(from: Fd, to: Fd, options: EntryOptions): void {
  for (let at = 0; ; ) {
    const count = trySys("pread64", from.number, buffer, buffer.size, at);
    if (count <= 0) {
      check(count, "read");
      if (at > 0) requireWritten(to);
      return;
    }
    writeWhole(to, buffer, count, at);
    at += count;
    options.onBytes(count);
  }
}
