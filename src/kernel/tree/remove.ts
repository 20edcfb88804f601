// Removes trees of any depth, with immutable files, subvolumes, and directories that their owner may not change. Stays
// on one mount: a mount point ends the removal with EBUSY. No other process should write to the tree meanwhile.
import { makeMutable } from "../file/attributes.ts";
import type { Fd } from "../file/fd.ts";
import { AT_REMOVEDIR, ENOENT, EPERM } from "../syscall/constants.ts";
import { check, isErrno, SyscallError, trySys, unlessErrno } from "../syscall/sys.ts";
import {
  isBtrfs,
  mayBeSubvolume,
  nestedSubvolumes,
  removeSubvolume,
  setSubvolumeReadOnly,
  subvolumeInfo,
} from "./btrfs.ts";
import { removeGroups } from "./btrfs-quota.ts";
import { DirectoryChain } from "./directory-chain.ts";
import { openUp } from "./own-file.ts";
import { RawStatus } from "./raw-status.ts";
import {
  openDirectory,
  openEntry,
  openForReading,
  type RawEntry,
  type RawName,
  rawAddress,
  readSomeEntries,
  textOf,
} from "./tree.ts";

/** How often a directory is emptied that other processes fill while it is being removed. */
const EMPTY_TRIES = 16;

const status = new RawStatus();

/** Removes the entry `name` of `parent` with its content, if it exists. */
export function removeTree(parent: Fd, name: RawName): void {
  if (!isThere(parent, name)) return;
  if (status.kind !== "directory") {
    removeEntry(parent, name, 0);
    return;
  }
  const mountId = status.readFd(parent).mountId;
  removeDirectoryTree(parent, name, mountId);
}

/** Removes the content of `directory`, but not the directory itself. */
export function emptyDirectory(directory: Fd): void {
  empty(directory.duplicate(), status.readFd(directory).mountId);
}

function isThere(parent: Fd, name: RawName): boolean {
  return unlessErrno(() => status.readEntry(parent, name), null, "ENOENT") !== null;
}

function removeDirectoryTree(parent: Fd, name: RawName, mountId: bigint): void {
  const top = openToEmpty(parent, name);
  try {
    requireMount(status.readFd(top), mountId, name);
    if (mayBeSubvolume(status.ino) && isBtrfs(top)) {
      removeSubvolumeTree(parent, name, top);
      return;
    }
    openUp(top, status);
    empty(top.duplicate(), mountId);
  } finally {
    top.close();
  }
  removeEntry(parent, name, AT_REMOVEDIR);
}

/** Opens a directory; one of this user's own also where its permissions forbid that. */
function openToEmpty(parent: Fd, name: RawName): Fd {
  try {
    return openDirectory(parent, name);
  } catch (error) {
    if (!isErrno(error, "EACCES")) throw error;
    using named = openEntry(parent, name);
    if (openUp(named) === null) throw error;
    return openDirectory(parent, name);
  }
}

function requireMount(found: RawStatus, mountId: bigint, name: RawName): void {
  if (found.mountId !== mountId) throw new SyscallError("unlink", "EBUSY", textOf(name));
}

/** Empties a directory without recursion, so that its depth is not limited. Takes ownership of `top`. */
function empty(top: Fd, mountId: bigint): void {
  using chain = new DirectoryChain(top, status);
  // Reads some entries at a time, because a directory may be larger than memory.
  const pending: RawEntry[][] = [readSomeEntries(top)];
  for (;;) {
    if (pending.at(-1)?.length === 0) pending[pending.length - 1] = readSomeEntries(chain.current);
    const entry = pending.at(-1)?.pop();
    if (entry !== undefined) {
      const inner = removeOrOpen(chain.current, entry, mountId);
      if (inner === null) continue;
      chain.enter(entry.name, inner, status.identity);
      pending.push(readSomeEntries(inner));
      continue;
    }
    if (chain.depth === 0) return;
    const { name } = chain;
    chain.leave();
    pending.pop();
    removeEmptied(chain.current, name, mountId);
  }
}

/**
 * Removes an entry, or opens it and returns it where it is a directory that must be emptied first; `status` is then the
 * status of the directory.
 */
function removeOrOpen(parent: Fd, { name, kind }: RawEntry, mountId: bigint): Fd | null {
  if (kind !== "directory" && (kind !== null || status.readEntry(parent, name).kind !== "directory")) {
    removeEntry(parent, name, 0);
    return null;
  }
  const inner = openToEmpty(parent, name);
  try {
    requireMount(status.readFd(inner), mountId, name);
    if (!mayBeSubvolume(status.ino) || !isBtrfs(inner)) {
      openUp(inner, status);
      return inner;
    }
    removeSubvolumeTree(parent, name, inner);
  } catch (error) {
    inner.close();
    throw error;
  }
  inner.close();
  return null;
}

function removeEmptied(parent: Fd, name: RawName, mountId: bigint): void {
  for (let tries = 1; ; tries++) {
    try {
      removeEntry(parent, name, AT_REMOVEDIR);
      return;
    } catch (error) {
      if (!isErrno(error, "ENOTEMPTY") || tries === EMPTY_TRIES) throw error;
      empty(openDirectory(parent, name), mountId);
    }
  }
}

/** Removes one entry; clears the immutable and append flags of entry and directory where they prevent that. */
function removeEntry(parent: Fd, name: RawName, flags: number): void {
  const remove = () => trySys("unlinkat", parent.number, rawAddress(name), flags);
  let result = remove();
  if (result === EPERM) {
    makeMutable(parent);
    makeEntryMutable(parent, name);
    result = remove();
  }
  if (result < 0 && result !== ENOENT) check(result, flags === 0 ? "unlink" : "rmdir", textOf(name));
}

/** Clears the flags of a regular file or directory. Others are not opened, because opening a device has effects. */
function makeEntryMutable(parent: Fd, name: RawName): void {
  const { kind } = status.readEntry(parent, name);
  if (kind !== "regular" && kind !== "directory") return;
  using named = openForReading(parent, name);
  makeMutable(named);
}

/**
 * Removes the subvolume `name` of `parent`, opened as `top`, and its nested subvolumes. The file system frees their
 * content in the background.
 */
function removeSubvolumeTree(parent: Fd, name: RawName, top: Fd): void {
  const { id } = subvolumeInfo(top);
  try {
    removeSubvolume(parent, name);
  } catch (error) {
    if (!isErrno(error, "ENOTEMPTY", "EPERM", "EACCES", "EROFS")) throw error;
    setSubvolumeReadOnly(top, false);
    makeMutable(top);
    removeNested(top);
    removeEmptySubvolume(parent, name, top);
  }
  try {
    removeGroups(parent, id);
  } catch (error) {
    // New kernels remove the groups by themselves, and refuse until then (EBUSY).
    if (!(error instanceof SyscallError)) throw error;
  }
}

/**
 * Removes a subvolume without nested ones. Only root of the host may remove one that has files: others remove those,
 * and then the empty one.
 */
function removeEmptySubvolume(parent: Fd, name: RawName, top: Fd): void {
  try {
    removeSubvolume(parent, name);
  } catch (error) {
    if (!isErrno(error, "EPERM", "EACCES")) throw error;
    openUp(top);
    empty(top.duplicate(), status.readFd(top).mountId);
    removeEntry(parent, name, AT_REMOVEDIR);
  }
}

/** Removes the subvolumes nested in `top`. Another file system, or subvolume, may be mounted in place of one. */
function removeNested(top: Fd): void {
  const { mountId } = status.readFd(top);
  for (const nested of nestedSubvolumes(top)) {
    using chain = new DirectoryChain(top.duplicate(), status);
    for (const name of nested.directory.split("/").filter((part) => part !== "")) {
      chain.open(name);
    }
    using inner = openDirectory(chain.current, nested.name);
    requireMount(status.readFd(inner), mountId, nested.name);
    removeSubvolumeTree(chain.current, nested.name, inner);
  }
}
