// Merges a stack of layers (systemd.mstack(7)) into one new tree, as a machine that runs from the stack sees it.
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
/** The directory with the files that the machine wrote; the other one in `rw` is used by the kernel. */
const WRITTEN_DATA = "rw/data";

/** The part of a stack that is merged: everything, or the layers without the files that the machine wrote. */
export type StackPart = "all" | "layers";

/** Returns the names of a stack's layers, the lowest first. Throws EOPNOTSUPP for a stack with other parts. */
export function layersOfStack(stack: Fd, path: string): string[] {
  // Opened again, because an earlier listing leaves a descriptor at the end of the directory.
  using listing = openAt(stack, ".", "directory");
  const names = listDirectory(listing).map(({ name }) => name);
  const strange = names.find((name) => !LAYER.test(name) && name !== WRITTEN);
  if (strange !== undefined) {
    throw new ErrnoError(
      "EOPNOTSUPP",
      `'${path}' contains '${strange}': only stacks that consist of layers can be pushed.`,
    );
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

/** With these attributes, a file is stored in part in a lower layer, under a name that only the kernel knows. */
const PARTIAL = /^(trusted|user)\.overlay\.(redirect|metacopy)$/;

/** Merges the open stack at `path` into a new tree in `root`, which is removed with the stage. */
export function treeOfStack(
  root: Fd,
  { stack, path, part }: { readonly stack: Fd; readonly path: string; readonly part: StackPart },
  options: WorkerOptions,
): Promise<Stage> {
  const written = part === "all" && isWritten(path) ? [WRITTEN_DATA] : [];
  const names = [...layersOfStack(stack, path), ...written].map((name) => join(path, name));
  return flatten(root, names, options, {
    dropAttribute: (name) => {
      if (PARTIAL.test(name))
        throw new ErrnoError(
          "EOPNOTSUPP",
          `'${path}' has files that overlayfs stores in several layers (redirect, metacopy).`,
        );
      return false;
    },
  });
}
