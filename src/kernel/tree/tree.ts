// Access to untrusted file trees: names need not be UTF-8, and a tree may be deeper than PATH_MAX and than the limit of
// open files. A name is a "raw" string with one character for each byte. Every step is relative to an open directory
// and follows no link, so that concurrent changes of the tree cannot redirect it. See openat(2), getdents64(2).
import { Fd } from "../file/fd.ts";
import { FILE_KINDS, type FileKind } from "../file/status.ts";
import {
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
import { pinForever } from "../syscall/mem.ts";
import { check, SyscallError, trySys } from "../syscall/sys.ts";

/** The name of an entry, one character (U+0000 to U+00FF) for each byte. */
export type RawName = string;

const NAME_SLOT = 4096;
const NAME_SLOTS = 8;
const names = pinForever(NAME_SLOT * NAME_SLOTS);
let nextSlot = 0;

/** The number of characters of a name that is too long in its error. */
const SHOWN = 80;

/** Returns the address of a raw name, for the next system call. Throws `ENAMETOOLONG` beyond 4095 bytes. */
export function rawAddress(name: RawName): number {
  if (name.length >= NAME_SLOT) throw new SyscallError("name", "ENAMETOOLONG", `${textOf(name).slice(0, SHOWN)}…`);
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

/**
 * Returns the next entries of `directory` without `.` and `..`: as many as one getdents64(2) reads, none at the end.
 */
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
 * Opens the entry `name` for reading; throws `ELOOP` for a link. Check its kind by `RawStatus` first: opening a device
 * has effects.
 */
export function openForReading(parent: Fd, name: RawName): Fd {
  const result = trySys("openat", parent.number, rawAddress(name), O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);
  return Fd.adopt(check(result, "open", result < 0 ? textOf(name) : undefined));
}

/**
 * Opens a new unnamed file on the file system of `directory`, for reading and writing; returns null where that fails.
 */
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
 * Returns the target of the symbolic link `name`, or, where `name` is "", of `parent`, which `openEntry()` opened. Null
 * for other files.
 */
export function readLinkIn(parent: Fd, name: RawName): RawName | null {
  const length = trySys("readlinkat", parent.number, rawAddress(name), linkTarget, LINK_MAX);
  if (length === EINVAL) return null;
  return linkTarget.bytes.toString("latin1", 0, check(length, "readlink", length < 0 ? textOf(name) : undefined));
}
