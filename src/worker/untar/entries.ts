// Makes the entries of an archive in an open directory. As with tar, each replaces what has its name, directories with
// their content.
import { ErrnoError } from "../../base/error.ts";
import type { Fd } from "../../kernel/file/fd.ts";
import { EEXIST } from "../../kernel/syscall/constants.ts";
import { check } from "../../kernel/syscall/sys.ts";
import { removeTree } from "../../kernel/tree/remove.ts";
import { type RawName, textOf } from "../../kernel/tree/tree.ts";
import type { TarEntry } from "../tar/entry.ts";
import { adopt, NODE_MODE, tryCreateFile, tryLink, tryMakeNode, tryMakeSymlink } from "./calls.ts";

/** Returns the kernel's result of `attempt`, which is repeated after the removal of an existing entry. */
function replacing(parent: Fd, name: RawName, attempt: () => number): number {
  const result = attempt();
  if (result !== EEXIST) return result;
  removeTree(parent, name);
  return attempt();
}

function make(parent: Fd, name: RawName, call: string, attempt: () => number): void {
  const result = replacing(parent, name, attempt);
  if (result < 0) check(result, call, textOf(name));
}

/** Makes an empty regular file, opened for writing. */
export function makeFile(parent: Fd, name: RawName, mode: number): Fd {
  return adopt(
    replacing(parent, name, () => tryCreateFile(parent, name, mode)),
    "create",
    name,
  );
}

/** Makes a hard link to the entry `source` of `from`. */
export function makeLink(from: Fd, source: RawName, parent: Fd, name: RawName): void {
  make(parent, name, "link", () => tryLink(from, source, parent, name));
}

/** Makes a symbolic link. */
export function makeSymlink(parent: Fd, name: RawName, target: RawName): void {
  make(parent, name, "symlink", () => tryMakeSymlink(parent, name, target));
}

/** Makes a fifo, a device node or a whiteout. With `refuseDevices`, device nodes are `EPERM`. */
export function makeNode(parent: Fd, name: RawName, entry: TarEntry, refuseDevices: boolean): void {
  const { kind, mode, major, minor, path } = entry;
  if (kind !== "fifo" && !isWhiteout(entry) && refuseDevices) {
    throw new ErrnoError("EPERM", `Archive has the device node '${textOf(path)}', which cannot be made here`);
  }
  const bits = NODE_MODE[kind as keyof typeof NODE_MODE] | (mode & 0o777);
  make(parent, name, "mknod", () => tryMakeNode(parent, name, bits, major, minor));
}

/** Whether an entry is a whiteout of overlayfs: a device 0:0, which hides a name of lower layers. */
export function isWhiteout({ kind, major, minor }: TarEntry): boolean {
  return kind === "character" && major === 0 && minor === 0;
}
