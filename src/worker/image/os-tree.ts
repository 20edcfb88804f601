// Archives often hold an OS tree in a single directory at their top: the image is the content of that directory.

import { unlessNoFile } from "../../base/absence.ts";
import { type Fd, openInRoot } from "../../kernel/file/fd.ts";
import { changeMode, changeOwner } from "../../kernel/file/ownership.ts";
import { EACCES } from "../../kernel/syscall/constants.ts";
import { check, trySys } from "../../kernel/syscall/sys.ts";
import { isSubvolume } from "../../kernel/tree/btrfs.ts";
import { copyAttributes } from "../../kernel/tree/copy-attributes.ts";
import { setTimesOf } from "../../kernel/tree/copy-file.ts";
import { openUp, setPermissions } from "../../kernel/tree/own-file.ts";
import { RawStatus } from "../../kernel/tree/raw-status.ts";
import {
  openDirectory,
  openEntry,
  type RawName,
  rawAddress,
  rawOf,
  readSomeEntries,
  textOf,
} from "../../kernel/tree/tree.ts";
import { tryRemoveDirectory } from "../untar/calls.ts";
import { temporaryName } from "./stage.ts";

const MARKS = ["etc/os-release", "usr/lib/os-release"];

/** Whether a directory is the root of an operating system, by its own files. */
function isOsTree(tree: Fd): boolean {
  return MARKS.some((path) => {
    using mark = unlessNoFile(() => openInRoot(tree, path, "path"), null);
    return mark !== null;
  });
}

/** Moves the content of the only directory in `tree` up, where that is an OS tree and `tree` is none. */
export function liftOsTree(tree: Fd): void {
  if (isOsTree(tree)) return;
  using listing = openDirectory(tree, ".");
  const [only, another] = readSomeEntries(listing);
  if (only === undefined || another !== undefined || only.kind !== "directory") return;
  using inner = openDirectory(tree, only.name);
  // Files cannot be moved from one subvolume to another.
  if (!isOsTree(inner) || isSubvolume(inner)) return;
  const status = new RawStatus().readFd(inner);
  // An entry of the same name may be among those that are moved.
  const aside = rawOf(temporaryName("tar"));
  // Both get their final permissions at the end.
  for (const directory of [inner, tree]) openUp(directory);
  move(tree, only.name, tree, aside);
  moveAll(inner, tree);
  check(tryRemoveDirectory(tree, aside), "rmdir");
  takeOver(inner, status, tree);
}

/** Moves the content of a directory in batches: an archive may have made it larger than memory. */
function moveAll(from: Fd, to: Fd): void {
  for (;;) {
    // Moved entries are not listed again; entries that a listing skipped because of the moves are in the next one.
    using content = openDirectory(from, ".");
    let moved = 0;
    for (let some = readSomeEntries(content); some.length > 0; some = readSomeEntries(content)) {
      for (const { name } of some) move(from, name, to, name);
      moved += some.length;
    }
    if (moved === 0) return;
  }
}

function move(from: Fd, name: RawName, to: Fd, newName: RawName): void {
  const rename = () => trySys("renameat2", from.number, rawAddress(name), to.number, rawAddress(newName), 0);
  let result = rename();
  // A directory that changes its parent must be writable itself.
  if (result === EACCES) {
    using entry = openEntry(from, name);
    const permissions = openUp(entry);
    result = rename();
    if (permissions !== null) setPermissions(entry, permissions);
  }
  check(result, "rename", result < 0 ? textOf(name) : undefined);
}

/** Sets the properties of the directory on the top of the tree. */
function takeOver(from: Fd, status: RawStatus, to: Fd): void {
  changeOwner(to, status.uid, status.gid);
  changeMode(to, status.mode & 0o7777);
  copyAttributes(from, to, true);
  setTimesOf(to, status);
}
