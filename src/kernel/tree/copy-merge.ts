// Copies a file or tree to a place where files may exist: directories are merged, other files are kept or replaced.
// Mounts below the source are copied too, as by cp(1). A machine may change either side meanwhile: every step opens one
// name in an open directory and follows no link.
import type { Fd } from "../file/fd.ts";
import { type SyscallError, trySys, unlessErrno } from "../syscall/sys.ts";
import { EntryCopier, type EntryOptions } from "./copy-entry.ts";
import { makeDirectory, type NamedPlace, renameNew } from "./link.ts";
import { TreeMerge } from "./merge.ts";
import { RawStatus } from "./raw-status.ts";
import { removeTree } from "./remove.ts";
import { openDirectory, openEntry, type RawName, rawAddress } from "./tree.ts";

/** The target of a copy, and the temporary name until it is complete, which remains where this process is killed. */
interface TargetPlace extends NamedPlace {
  readonly temporary: RawName;
}

/**
 * Copies `source` to `target`. Throws `EEXIST` where the target exists and is not to be replaced; inside merged
 * directories, existing files are kept without an error. Continues after other failures of single files, and throws the
 * first at the end.
 */
export function copyMerging(source: NamedPlace, target: TargetPlace, options: EntryOptions): void {
  using entry = openEntry(source.directory, source.name);
  const status = new RawStatus().readFd(entry);
  const copier = new EntryCopier(options);
  if (status.kind === "regular") copier.copyRegular(entry, status, target.directory, target.name);
  else if (status.kind !== "directory") copier.copySpecial(entry, status, target);
  else if (isDirectory(target)) copyDirectory(source, target, false, copier, options);
  else copyToNew(source, target, copier, options);
}

function isDirectory({ directory, name }: NamedPlace): boolean {
  return unlessErrno(() => new RawStatus().readEntry(directory, name).kind, null, "ENOENT") === "directory";
}

/** Copies a directory to a temporary name, which is renamed when the copy is complete, even if single files failed. */
function copyToNew(source: NamedPlace, target: TargetPlace, copier: EntryCopier, options: EntryOptions): void {
  const { directory, name, temporary } = target;
  if (!options.replace) copier.requireFree(directory, name);
  makeDirectory({ directory, name: temporary }, false);
  let isPlaced = false;
  try {
    const failure = copyDirectory(source, { directory, name: temporary }, true, copier, options);
    if (options.replace) trySys("unlinkat", directory.number, rawAddress(name), 0);
    renameNew({ directory, name: temporary }, { directory, name });
    isPlaced = true;
    if (failure !== null) throw failure;
  } finally {
    if (!isPlaced) removeTree(directory, temporary);
  }
}

/**
 * Copies the content of a directory into another. Returns the first failure of a single file for a new one, else throws
 * it.
 */
function copyDirectory(
  source: NamedPlace,
  target: NamedPlace,
  isNew: boolean,
  copier: EntryCopier,
  options: EntryOptions,
): SyscallError | null {
  const from = openDirectory(source.directory, source.name);
  const to = adoptDirectory(target.directory, target.name, from);
  using tree = new TreeMerge(from, to, isNew, copier, options);
  const failure = tree.run();
  if (failure !== null && !isNew) throw failure;
  return failure;
}

/** Opens a directory; closes `from` on failure. */
function adoptDirectory(parent: Fd, name: RawName, from: Fd): Fd {
  try {
    return openDirectory(parent, name);
  } catch (error) {
    from.close();
    throw error;
  }
}
