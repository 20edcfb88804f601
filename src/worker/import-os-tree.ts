// Archives often hold an OS tree in a single directory at their top: the image is what is in it.

import { copyAttributes } from "../kernel/copy-file.ts";
import { type Fd, openInRoot } from "../kernel/fd.ts";
import { changeOwner } from "../kernel/ownership.ts";
import { check, SyscallError, trySys } from "../kernel/sys.ts";
import { openDirectory, type RawName, RawStatus, rawAddress, rawOf, readEntries } from "../kernel/tree.ts";
import { temporaryName } from "./install-image.ts";
import { changeMode, tryRemoveDirectory } from "./untar-calls.ts";

const MARKS = ["etc/os-release", "usr/lib/os-release"];

/** Whether a directory is the root of an operating system, as far as its own files say. */
export function isOsTree(tree: Fd): boolean {
  return MARKS.some((path) => {
    try {
      openInRoot(tree, path, "path").close();
      return true;
    } catch (error) {
      if (error instanceof SyscallError) return false;
      throw error;
    }
  });
}

/** Moves the content of the only directory in `tree` up, when that is an OS tree and `tree` is none. */
export function liftOsTree(tree: Fd): void {
  if (isOsTree(tree)) return;
  using listing = openDirectory(tree, ".");
  const entries = readEntries(listing);
  const [only] = entries;
  if (only === undefined || entries.length > 1 || only.kind !== "directory") return;
  using inner = openDirectory(tree, only.name);
  if (!isOsTree(inner)) return;
  // An entry of the same name may be among those that come up.
  const aside = rawOf(temporaryName("tar"));
  move(tree, only.name, tree, aside);
  using content = openDirectory(inner, ".");
  for (const { name } of readEntries(content)) move(inner, name, tree, name);
  takeOver(inner, tree);
  check(tryRemoveDirectory(tree, aside), "rmdir");
}

function move(from: Fd, name: RawName, to: Fd, newName: RawName): void {
  check(trySys("renameat2", from.number, rawAddress(name), to.number, rawAddress(newName), 0), "rename");
}

/** Gives the top what the directory had. */
function takeOver(from: Fd, to: Fd): void {
  const status = new RawStatus().readFd(from);
  changeOwner(to, status.uid, status.gid);
  changeMode(to, status.mode & 0o7777);
  copyAttributes(from, to, true);
}
