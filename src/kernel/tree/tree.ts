// Access to untrusted file trees: names need not be UTF-8, and a tree may be deeper than PATH_MAX and than the limit of open
// files. A name is a "raw" string with one character for each byte. Every step is relative to an open directory and follows no
// link, so that concurrent changes of the tree cannot redirect it. See openat(2), getdents64(2), statx(2).
import { Fd } from "../file/fd.ts";
import { FILE_KINDS, type FileKind, packedDevice } from "../file/status.ts";
import {
  AT_EMPTY_PATH,
  AT_NO_AUTOMOUNT,
  AT_SYMLINK_NOFOLLOW,
  EINVAL,
  ENOENT,
  O_CLOEXEC,
  O_DIRECTORY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_PATH,
  O_RDWR,
  O_TMPFILE,
} from "../syscall/constants.ts";
import { type Pinned, pin, pinForever } from "../syscall/mem.ts";
import { check, SyscallError, trySys } from "../syscall/sys.ts";

/** The name of an entry, one character (U+0000 to U+00FF) for each byte. */
export type RawName = string;

const NAME_SLOT = 4096;
const NAME_SLOTS = 8;
const names = pinForever(NAME_SLOT * NAME_SLOTS);
let nextSlot = 0;

/** Returns the address of a raw name, for the next system call. Throws `ENAMETOOLONG` beyond 4095 bytes. */
export function rawAddress(name: RawName): number {
  if (name.length >= NAME_SLOT) throw new SyscallError("name", "ENAMETOOLONG");
  const at = nextSlot * NAME_SLOT;
  nextSlot = (nextSlot + 1) % NAME_SLOTS;
  names.bytes.write(name, at, "latin1");
  names.bytes[at + name.length] = 0;
  return names.address + at;
}

/** Converts text to a raw name. */
export function rawOf(text: string): RawName {
  return Buffer.from(text).toString("latin1");
}

/** Converts a raw name to text, for messages. */
export function textOf(name: RawName): string {
  return Buffer.from(name, "latin1").toString();
}

export interface RawEntry {
  readonly name: RawName;
  /** Null where the file system does not report it. */
  readonly kind: FileKind | null;
}

// struct linux_dirent64 { 0 u64 d_ino; 8 s64 d_off; 16 u16 d_reclen; 18 u8 d_type; 19 char d_name[]; }
const entries = pinForever(64 * 1024);

/** Returns the next entries of `directory` without `.` and `..`: as many as one getdents64(2) reads, none at the end. */
export function readSomeEntries(directory: Fd): RawEntry[] {
  const { bytes, view } = entries;
  for (;;) {
    const list: RawEntry[] = [];
    const size = trySys("getdents64", directory.number, entries, entries.size);
    // ENOENT: the directory was removed since it was opened.
    if (size === 0 || size === ENOENT) return list;
    check(size, "getdents");
    for (let at = 0; at < size; at += view.getUint16(at + 16, true)) {
      const name = bytes.toString("latin1", at + 19, bytes.indexOf(0, at + 19));
      if (name !== "." && name !== "..") list.push({ name, kind: FILE_KINDS[view.getUint8(at + 18)] ?? null });
    }
    if (list.length > 0) return list;
  }
}

/** Returns all entries of `directory` from its present offset on, without `.` and `..`. */
export function readEntries(directory: Fd): RawEntry[] {
  const list: RawEntry[] = [];
  for (let some = readSomeEntries(directory); some.length > 0; some = readSomeEntries(directory)) {
    for (const entry of some) list.push(entry);
  }
  return list;
}

/** Pushes the names of all entries of `directory` to `stack`; returns their number. */
export function pushEntries(directory: Fd, stack: { push(name: RawName): void }): number {
  let count = 0;
  for (let some = readSomeEntries(directory); some.length > 0; some = readSomeEntries(directory)) {
    for (const { name } of some) stack.push(name);
    count += some.length;
  }
  return count;
}

const OPEN_DIRECTORY = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;

/** Opens the directory `name`; throws `ENOTDIR` or `ELOOP` for other files. */
export function openDirectory(parent: Fd, name: RawName): Fd {
  const result = trySys("openat", parent.number, rawAddress(name), OPEN_DIRECTORY);
  return Fd.adopt(check(result, "open", result < 0 ? textOf(name) : undefined));
}

/**
 * Opens the entry `name` for reading; throws `ELOOP` for a link. Check its kind by `RawStatus` first: opening a device has
 * effects.
 */
export function openForReading(parent: Fd, name: RawName): Fd {
  const result = trySys("openat", parent.number, rawAddress(name), O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  return Fd.adopt(check(result, "open", result < 0 ? textOf(name) : undefined));
}

/** Opens a new unnamed file on the file system of `directory`, for reading and writing; returns null where that fails. */
export function tryOpenUnnamed(directory: Fd): Fd | null {
  const result = trySys("openat", directory.number, rawAddress("."), O_TMPFILE | O_RDWR | O_CLOEXEC, 0o600);
  return result < 0 ? null : Fd.adopt(result);
}

/** Opens the entry `name` with O_PATH, also where it is a link. */
export function openEntry(parent: Fd, name: RawName): Fd {
  const result = trySys("openat", parent.number, rawAddress(name), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  return Fd.adopt(check(result, "open", result < 0 ? textOf(name) : undefined));
}

const LINK_MAX = 4096;
const linkTarget = pinForever(LINK_MAX);

/**
 * Returns the target of the symbolic link `name`, or, where `name` is "", of `parent`, which `openEntry()` opened. Null for
 * other files.
 */
export function readLinkIn(parent: Fd, name: RawName): RawName | null {
  const length = trySys("readlinkat", parent.number, rawAddress(name), linkTarget, LINK_MAX);
  if (length === EINVAL) return null;
  return linkTarget.bytes.toString("latin1", 0, check(length, "readlink", length < 0 ? textOf(name) : undefined));
}

// struct statx: see kernel/file/status.ts. It is not decoded, so that its times can be copied as they are.
const STATX_SIZE = 256;
const MASK = 0xfff | 0x1000;

/** The undecoded status of a file, in memory that is reused for many files. */
export class RawStatus {
  readonly memory: Pinned = pin(STATX_SIZE);

  /** Reads the status of an open file, O_PATH included. */
  readFd(fd: Fd): this {
    check(trySys("statx", fd.number, rawAddress(""), AT_EMPTY_PATH, MASK, this.memory), "stat");
    return this;
  }

  /** Reads the status of an entry of a directory; does not follow a link. */
  readEntry(parent: Fd, name: RawName): this {
    const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
    const result = trySys("statx", parent.number, rawAddress(name), flags, MASK, this.memory);
    check(result, "stat", result < 0 ? textOf(name) : undefined);
    return this;
  }

  get kind(): FileKind {
    return FILE_KINDS[this.mode >> 12] ?? "other";
  }

  get mode(): number {
    return this.memory.view.getUint16(28, true);
  }

  get links(): number {
    return this.memory.view.getUint32(16, true);
  }

  get uid(): number {
    return this.memory.view.getUint32(20, true);
  }

  get gid(): number {
    return this.memory.view.getUint32(24, true);
  }

  get size(): number {
    return Number(this.memory.view.getBigUint64(40, true));
  }

  get allocatedBytes(): number {
    return Number(this.memory.view.getBigUint64(48, true)) * 512;
  }

  /** The device number of a device, as mknod(2) takes it. */
  get deviceNumber(): number {
    const [major, minor] = [this.memory.view.getUint32(128, true), this.memory.view.getUint32(132, true)];
    return packedDevice(major, minor);
  }

  /** Device and inode: equal only for names of the same file. */
  get identity(): string {
    const { view } = this.memory;
    return `${view.getUint32(136, true)}:${view.getUint32(140, true)}:${view.getBigUint64(32, true)}`;
  }

  get ino(): bigint {
    return this.memory.view.getBigUint64(32, true);
  }

  get mountId(): bigint {
    return this.memory.view.getBigUint64(144, true);
  }
}

/**
 * A chain keeps open its innermost directories, and every directory whose depth is a multiple of this; the others are opened
 * again from those. (Going up by `..` would take time proportional to the depth on bind mounts and subvolumes.)
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
 * The directories from the top of a tree to the current one. Its depth is not limited by the number of open files. `leave()`
 * returns to the same directory from which it was entered, or throws `ESTALE` where that was moved.
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

  /** Opens the closed directories again, from the last open one to the innermost. Throws `ESTALE` where one was replaced. */
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
