// A stack of layers (systemd.mstack(7)) made one tree, in a place of its own: what a machine sees that runs from the stack.
import { join } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { listDirectory } from "../../kernel/file/directory-entry.ts";
import { type Fd, openAt, openPath } from "../../kernel/file/fd.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import type { Stage } from "../image/stage.ts";
import type { WorkerOptions } from "../program/options.ts";
import { flatten } from "./machine.ts";

const LAYER = /^layer@(\d+)$/;
const WRITTEN = "rw";
/** Below it is what the machine wrote; the other directory there is for the kernel's use. */
const WRITTEN_DATA = "rw/data";

/** What of a stack is merged: all, or what is below what the machine wrote. */
export type StackPart = "all" | "layers";

/** The layers of a stack by name, the lowest first. EOPNOTSUPP for one that is made of more than layers. */
export function layersOfStack(stack: Fd, path: string): string[] {
  // A directory that was read is at its end.
  using listing = openAt(stack, ".", "directory");
  const names = listDirectory(listing).map(({ name }) => name);
  const strange = names.find((name) => !LAYER.test(name) && name !== WRITTEN);
  if (strange !== undefined) {
    throw new ErrnoError("EOPNOTSUPP", `'${path}' has '${strange}': only stacks of layers alone can be pushed.`);
  }
  const number = (name: string) => Number(LAYER.exec(name)?.[1]);
  return names.filter((name) => name !== WRITTEN).sort((a, b) => number(a) - number(b));
}

/** Whether a machine wrote anything to the stack at `path`. */
export function isWritten(path: string): boolean {
  try {
    using directory = openPath(join(path, WRITTEN_DATA), "directory");
    return listDirectory(directory).length > 0;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

/** With these, files of the upper layer are only parts of files of a lower one, whose names the kernel alone knows. */
const PARTIAL = /^(trusted|user)\.overlay\.(redirect|metacopy)$/;

/** Merges the stack at `path`, which is open, into a new tree in `root`, which goes away with the stage. */
export function treeOfStack(
  root: Fd,
  { stack, path, part }: { readonly stack: Fd; readonly path: string; readonly part: StackPart },
  options: WorkerOptions,
): Promise<Stage> {
  const written = part === "all" && isWritten(path) ? [WRITTEN_DATA] : [];
  const names = [...layersOfStack(stack, path), ...written].map((name) => join(path, name));
  return flatten(root, names, options, {
    dropAttribute: (name) => {
      if (PARTIAL.test(name)) throw new ErrnoError("EOPNOTSUPP", `'${path}' has files that overlayfs moved or shares.`);
      return false;
    },
  });
}
