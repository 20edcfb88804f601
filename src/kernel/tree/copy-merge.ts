// Copying a file or tree into a place where something may be already: directories are merged, other files stay or are
// replaced. It goes where other mounts begin, as cp(1) does. Either side may belong to a machine that changes it while it
// is copied: every step goes from an open directory to one name in it and follows no link.

import type { Fd } from "../file/fd.ts";
import { isErrno, type SyscallError, trySys } from "../syscall/sys.ts";
import { EntryCopier, type EntryOptions } from "./copy-entry.ts";
import { renameNew } from "./link.ts";
import { makeDirectory, TreeMerge } from "./merge.ts";
import { removeTree } from "./remove.ts";
import { openDirectory, openEntry, type RawName, RawStatus, rawAddress } from "./tree.ts";

/** An entry of an open directory. */
export interface Place {
  readonly directory: Fd;
  readonly name: RawName;
}

/** Where a copy goes, and the name under which it is made until it is complete: whoever kills us may remove that. */
interface TargetPlace extends Place {
  readonly temporary: RawName;
}

/**
 * Copies `source` to `target`. `EEXIST` where a file is there already that is not to be replaced, but inside a directory
 * that is merged such a file simply stays. Other failures of single files are reported at the end, by the first of them.
 */
export function copyMerging(source: Place, target: TargetPlace, options: EntryOptions): void {
  using entry = openEntry(source.directory, source.name);
  const status = new RawStatus().readFd(entry);
  const copier = new EntryCopier(options);
  if (status.kind === "regular") copier.copyRegular(entry, status, target.directory, target.name);
  else if (status.kind !== "directory") copier.copySpecial(entry, status, target.directory, target.name);
  else if (isDirectory(target)) copyDirectory(source, target, false, copier, options);
  else copyToNew(source, target, copier, options);
}

function isDirectory({ directory, name }: Place): boolean {
  try {
    return new RawStatus().readEntry(directory, name).kind === "directory";
  } catch (error) {
    if (isErrno(error, "ENOENT")) return false;
    throw error;
  }
}

function copyToNew(source: Place, target: TargetPlace, copier: EntryCopier, options: EntryOptions): void {
  const { directory, name, temporary } = target;
  if (!options.replace) copier.requireFree(directory, name);
  makeDirectory(directory, temporary, false);
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

function copyDirectory(
  source: Place,
  target: Place,
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

function adoptDirectory(parent: Fd, name: RawName, from: Fd): Fd {
  try {
    return openDirectory(parent, name);
  } catch (error) {
    from.close();
    throw error;
  }
}
