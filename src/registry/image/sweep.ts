// The remains of killed operations on images: temporary entries, lock files, and changes that are not finished.
import { join } from "node:path";
import { OPERATION_TEMPORARY_PREFIX as PREFIX } from "../../base/vocabulary/temporary.ts";
import { type Fd, openPath, statFd } from "../../kernel/file/fd.ts";
import { FileLock, isLockFree, lockWhole } from "../../kernel/file/lock.ts";
import { readRegular } from "../../kernel/file/regular-file.ts";
import { unlessSyscallError } from "../../kernel/syscall/sys.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { openDirectory, openForReading, type RawName, readEntries, textOf } from "../../kernel/tree/tree.ts";
import type { ImageLayout } from "./layout.ts";
import { lockName } from "./lock.ts";
import { ignoreSyscallErrors } from "./temporary.ts";
import { changeOf, makeRest, RECORD_SUFFIX } from "./unfinished.ts";

const RECORD_LIMIT = 64 << 10;

const status = new RawStatus();

/**
 * Removes the entries that ended processes left in a directory. An entry that cannot be removed is left for the next
 * call.
 */
function sweep(layout: ImageLayout, path: string): void {
  ignoreSyscallErrors(() => {
    using directory = openPath(path, "directory");
    for (const { name } of readEntries(directory)) {
      if (name.startsWith(PREFIX)) ignoreSyscallErrors(() => sweepOne(layout, directory, name));
    }
  });
}

/**
 * Makes the remaining steps of changes whose records are in a directory, and whose processes were killed. Returns the
 * names of companions in it whose changes cannot be finished now.
 */
export function finishChanges(layout: ImageLayout, path: string): ReadonlySet<string> {
  const waiting = new Set<string>();
  ignoreSyscallErrors(() => {
    using directory = openPath(path, "directory");
    const isRecord = ({ name }: { name: RawName }) => name.startsWith(PREFIX) && textOf(name).endsWith(RECORD_SUFFIX);
    for (const { name } of [...readEntries(directory)].filter(isRecord)) {
      ignoreSyscallErrors(() => sweepOne(layout, directory, name));
      for (const companion of companionsIn(directory, name)) waiting.add(companion);
    }
  });
  return waiting;
}

/** Returns the names in a record; none where it is gone. */
function companionsIn(directory: Fd, record: RawName): string[] {
  return unlessSyscallError(() => {
    using fd = openForReading(directory, record);
    return changeOf(readRegular(fd, RECORD_LIMIT).toString())?.companions.map(({ name }) => name) ?? [];
  }, []);
}

/** Returns the lock files of images: those beside the images, and those in the host's directory of locks. */
function lockFiles(layout: ImageLayout): string[] {
  const beside = workplaces(layout).flatMap((path) => lockFilesIn(path, LOCK_BESIDE));
  return layout.locks === null ? beside : [...beside, ...lockFilesIn(layout.locks, ANY_LOCK)];
}

const LOCK_BESIDE = /^\.#.*\.lck$/s;
const ANY_LOCK = /^/;

function lockFilesIn(path: string, pattern: RegExp): string[] {
  const found: string[] = [];
  ignoreSyscallErrors(() => {
    using directory = openPath(path, "directory");
    for (const { name, kind } of readEntries(directory)) {
      if (kind === "regular" && pattern.test(name)) found.push(join(path, textOf(name)));
    }
  });
  return found;
}

/** Removes leftovers from all directories in which operations make entries, and the lock files of killed operations. */
export function sweepAll(layout: ImageLayout): void {
  for (const directory of workplaces(layout)) sweep(layout, directory);
  // A lock file that can be locked has no owner: releasing it removes it.
  for (const path of lockFiles(layout)) ignoreSyscallErrors(() => FileLock.take(path, "exclusive")[Symbol.dispose]());
}

/** Whether any directory has an entry that may be left over. */
export function hasLeftovers(layout: ImageLayout): boolean {
  return workplaces(layout).some(hasTemporaries) || lockFiles(layout).some(isLeftOver);
}

/** Returns false where that cannot be found out now: the file stays for the next time. */
function isLeftOver(lock: string): boolean {
  return unlessSyscallError(() => isLockFree(lock), false);
}

/** The directories of images, their folders of versions, and the directories of settings. */
function workplaces(layout: ImageLayout): string[] {
  const ofImages = [...new Set([layout.pool, ...layout.searchPath])];
  return [...new Set([...ofImages, ...ofImages.flatMap(versionFoldersIn), ...layout.settings])];
}

function versionFoldersIn(path: string): string[] {
  return unlessSyscallError(() => {
    using directory = openPath(path, "directory");
    const folders = readEntries(directory).filter(({ name, kind }) => kind === "directory" && name.endsWith(".v"));
    return folders.map(({ name }) => join(path, textOf(name)));
  }, []);
}

/**
 * Whether a directory has temporary entries. Reads names only: an entry may be in use. Returns false for a directory
 * that cannot be read now; it is swept the next time.
 */
function hasTemporaries(path: string): boolean {
  return unlessSyscallError(() => {
    using directory = openPath(path, "directory");
    return readEntries(directory).some(({ name }) => name.startsWith(PREFIX));
  }, false);
}

function sweepOne(layout: ImageLayout, directory: Fd, name: RawName): void {
  const { kind } = status.readEntry(directory, name);
  using fd = kind === "directory" ? openDirectory(directory, name) : openForReading(directory, name);
  if (!lockWhole(fd)) return;
  if (kind === "regular" && textOf(name).endsWith(RECORD_SUFFIX) && isOwn(fd)) finish(layout, fd);
  removeTree(directory, name);
}

/**
 * Whether this user made a record, which names files to rename and remove, in other directories, too: a directory of
 * images that root may use can be another user's.
 */
function isOwn(record: Fd): boolean {
  return statFd(record).uid === process.geteuid?.();
}

/**
 * Makes the remaining steps of a change whose process was killed. Throws `EBUSY` while an image of the name is being
 * made.
 */
function finish(layout: ImageLayout, record: Fd): void {
  const change = changeOf(readRegular(record, RECORD_LIMIT).toString());
  if (change === null) return;
  using _name = lockName(layout.locks, change.image);
  makeRest(layout, change);
}
