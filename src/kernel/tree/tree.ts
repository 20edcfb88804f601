// File trees by their bytes: names need not be text, and a tree may be deeper than any path or any number of open files.
// A name here is a "raw" string, one character for each byte. Every step is relative to an open directory and follows no
// link, so that nobody who changes the tree meanwhile can lead it astray. See openat(2), getdents64(2), statx(2).
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

/** The address of a raw name for the system call that comes next. `ENAMETOOLONG` beyond 4095 bytes. */
export function rawAddress(name: RawName): number {
  if (name.length >= NAME_SLOT) throw new SyscallError("name", "ENAMETOOLONG");
  const at = nextSlot * NAME_SLOT;
  nextSlot = (nextSlot + 1) % NAME_SLOTS;
  names.bytes.write(name, at, "latin1");
  names.bytes[at + name.length] = 0;
  return names.address + at;
}

/** Text as a raw name. */
export function rawOf(text: string): RawName {
  return Buffer.from(text).toString("latin1");
}

/** A raw name as text for messages. */
export function textOf(name: RawName): string {
  return Buffer.from(name, "latin1").toString();
}

export interface RawEntry {
  readonly name: RawName;
  /** Null where the file system does not say. */
  readonly kind: FileKind | null;
}

// struct linux_dirent64 { 0 u64 d_ino; 8 s64 d_off; 16 u16 d_reclen; 18 u8 d_type; 19 char d_name[]; }
const entries = pinForever(64 * 1024);

/** The next entries of `directory` from where it stands, without `.` and `..`: as many as one call reads, none at the end. */
export function readSomeEntries(directory: Fd): RawEntry[] {
  const { bytes, view } = entries;
  for (;;) {
    const list: RawEntry[] = [];
    const size = trySys("getdents64", directory.number, entries, entries.size);
    // Linux says so of a directory that was removed while it is open.
    if (size === 0 || size === ENOENT) return list;
    check(size, "getdents");
    for (let at = 0; at < size; at += view.getUint16(at + 16, true)) {
      const name = bytes.toString("latin1", at + 19, bytes.indexOf(0, at + 19));
      if (name !== "." && name !== "..") list.push({ name, kind: FILE_KINDS[view.getUint8(at + 18)] ?? null });
    }
    if (list.length > 0) return list;
  }
}

/** What is in `directory`, read from where it stands, without `.` and `..`. */
export function readEntries(directory: Fd): RawEntry[] {
  const list: RawEntry[] = [];
  for (let some = readSomeEntries(directory); some.length > 0; some = readSomeEntries(directory)) {
    for (const entry of some) list.push(entry);
  }
  return list;
}

/** Puts the names of all that is in `directory` on `stack`; returns how many there are. */
export function pushEntries(directory: Fd, stack: { push(name: RawName): void }): number {
  let count = 0;
  for (let some = readSomeEntries(directory); some.length > 0; some = readSomeEntries(directory)) {
    for (const { name } of some) stack.push(name);
    count += some.length;
  }
  return count;
}

const OPEN_DIRECTORY = O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;

/** Opens the directory `name`. `ENOTDIR` or `ELOOP` for anything else. */
export function openDirectory(parent: Fd, name: RawName): Fd {
  const result = trySys("openat", parent.number, rawAddress(name), OPEN_DIRECTORY);
  return Fd.adopt(check(result, "open", result < 0 ? textOf(name) : undefined));
}

/** Opens the entry `name` for reading. `ELOOP` for a link; ask `RawStatus` first what it is: opening a device has effects. */
export function openForReading(parent: Fd, name: RawName): Fd {
  const result = trySys("openat", parent.number, rawAddress(name), O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  return Fd.adopt(check(result, "open", result < 0 ? textOf(name) : undefined));
}

/** A file without a name on the file system of `directory`, for reading and writing; null where there can be none. */
export function tryOpenUnnamed(directory: Fd): Fd | null {
  const result = trySys("openat", directory.number, rawAddress("."), O_TMPFILE | O_RDWR | O_CLOEXEC, 0o600);
  return result < 0 ? null : Fd.adopt(result);
}

/** Names the entry `name` without opening it, be it a link. */
export function openEntry(parent: Fd, name: RawName): Fd {
  const result = trySys("openat", parent.number, rawAddress(name), O_PATH | O_NOFOLLOW | O_CLOEXEC);
  return Fd.adopt(check(result, "open", result < 0 ? textOf(name) : undefined));
}

const LINK_MAX = 4096;
const linkTarget = pinForever(LINK_MAX);

/**
 * The target of the symbolic link `name`, byte for byte; of `parent` itself, opened as `openEntry()` does, where `name` is
 * "". Null for anything but a link.
 */
export function readLinkIn(parent: Fd, name: RawName): RawName | null {
  const length = trySys("readlinkat", parent.number, rawAddress(name), linkTarget, LINK_MAX);
  if (length === EINVAL) return null;
  return linkTarget.bytes.toString("latin1", 0, check(length, "readlink", length < 0 ? textOf(name) : undefined));
}

// struct statx: see kernel/file/status.ts. It is kept as it came: times go into a copy without a detour.
const STATX_SIZE = 256;
const MASK = 0xfff | 0x1000;

/** The raw status of a file: a block of memory that is filled again and again. */
export class RawStatus {
  readonly memory: Pinned = pin(STATX_SIZE);

  /** What is behind an open descriptor. */
  readFd(fd: Fd): this {
    check(trySys("statx", fd.number, rawAddress(""), AT_EMPTY_PATH, MASK, this.memory), "stat");
    return this;
  }

  /** The entry of a directory, be it a link. */
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

  /** The device number as mknod(2) takes it. */
  get deviceNumber(): number {
    const [major, minor] = [this.memory.view.getUint32(128, true), this.memory.view.getUint32(132, true)];
    return packedDevice(major, minor);
  }

  /** The same for two names of one file, and for nothing else. */
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
 * Of a chain the innermost directories are open, and every directory whose depth is a multiple of this: from those the way
 * to the others is gone again. (Going back through `..` takes the longer the deeper one is, on bind mounts and subvolumes.)
 */
const STEP = 64;

/** Copies and archives go no deeper: what they remember of the way must not take all memory. */
export const WALK_DEPTH_LIMIT = 1 << 15;

interface Link {
  readonly name: RawName;
  readonly identity: string;
  fd: Fd | null;
}

/**
 * The way from the top of a tree down to where the work is. It may be of any depth with a moderate number of open files,
 * and going up leads to the directory it came from (`ESTALE` when that is no longer where it was).
 */
export class DirectoryChain implements Disposable {
  readonly #links: Link[] = [];
  readonly #status: RawStatus;

  /** Takes over `top`. */
  constructor(top: Fd, status: RawStatus) {
    this.#status = status;
    this.#links.push({ name: "", identity: status.readFd(top).identity, fd: top });
  }

  get depth(): number {
    return this.#links.length - 1;
  }

  /** The directory the chain ends in. */
  get current(): Fd {
    return this.#fdAt(this.depth);
  }

  get name(): RawName {
    return this.#at(this.depth).name;
  }

  /** The names from the top, without the top's own. */
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

  /** Goes down into `name`, which has been opened as `fd` and is the chain's from now on. */
  enter(name: RawName, fd: Fd, identity: string): void {
    this.#links.push({ name, identity, fd });
    const outer = this.depth - STEP;
    if (outer <= 0 || outer % STEP === 0) return;
    this.#at(outer).fd?.close();
    this.#at(outer).fd = null;
  }

  /** Goes up by one. */
  leave(): void {
    this.#links.pop()?.fd?.close();
    if (this.#at(this.depth).fd === null) this.#reopen();
  }

  /** Opens the directories again from the last one that stayed open to the innermost. */
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
