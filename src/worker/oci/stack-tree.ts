// A stack of layers (systemd.mstack(7)) made one tree, in a place of its own: what a machine sees that runs from the stack.
import { join } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { listDirectory } from "../../kernel/file/directory-entry.ts";
import { type Fd, openPath } from "../../kernel/file/fd.ts";
import { isErrno } from "../../kernel/syscall/sys.ts";
import type { Stage } from "../image/stage.ts";
import type { WorkerOptions } from "../program/options.ts";
import { flatten } from "./machine.ts";

const LAYER = /^layer@(\d+)$/;
const WRITTEN = "rw";
/** Below it is what the machine wrote; the other directory there is for the kernel's use. */
const WRITTEN_DATA = "rw/data";

/** The trees of a stack, the lowest first. EOPNOTSUPP for one that is made of more than layers. */
function treesOf(stack: Fd, path: string): string[] {
  const names = listDirectory(stack).map(({ name }) => name);
  const strange = names.find((name) => !LAYER.test(name) && name !== WRITTEN);
  if (strange !== undefined) {
    throw new ErrnoError("EOPNOTSUPP", `'${path}' has '${strange}': only stacks of layers alone can be pushed.`);
  }
  const number = (name: string) => Number(LAYER.exec(name)?.[1]);
  const layers = names.filter((name) => name !== WRITTEN).sort((a, b) => number(a) - number(b));
  return [...layers, ...(isDirectory(join(path, WRITTEN_DATA)) ? [WRITTEN_DATA] : [])].map((name) => join(path, name));
}

function isDirectory(path: string): boolean {
  try {
    openPath(path, "directory").close();
    return true;
  } catch (error) {
    if (isErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

/** With these, files of the upper layer are only parts of files of a lower one, whose names the kernel alone knows. */
const PARTIAL = /^(trusted|user)\.overlay\.(redirect|metacopy)$/;

/** Merges the stack at `path` into a new tree in `root`, which goes away with the stage. */
export function treeOfStack(root: Fd, stack: Fd, path: string, options: WorkerOptions): Promise<Stage> {
  return flatten(root, treesOf(stack, path), options, {
    dropAttribute: (name) => {
      if (PARTIAL.test(name)) throw new ErrnoError("EOPNOTSUPP", `'${path}' has files that overlayfs moved or shares.`);
      return false;
    },
  });
}
