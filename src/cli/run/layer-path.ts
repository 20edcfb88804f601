// Finds a file in a stack of layers as overlayfs shows it: whiteouts and opaque directories of a layer hide what the
// layers below have, and a symbolic link leads through all layers. No link leads out of the stack.
import { getAttribute } from "../../kernel/file/attributes.ts";
import { type Fd, openUnless, readLinkAt, statFd } from "../../kernel/file/fd.ts";

/** As many links as the kernel follows. */
const MOST_LINKS = 40;
/** Overlayfs reads one or the other, depending on who mounts it. */
const OPAQUE = ["trusted.overlay.opaque", "user.overlay.opaque"];

/** Whether a file stands for one that a layer removes from those below it: a device 0:0 (overlayfs, "whiteouts"). */
export function isWhiteout(file: Fd): boolean {
  const { kind, rdev } = statFd(file);
  return kind === "character" && rdev.major === 0 && rdev.minor === 0;
}

function isOpaque(directory: Fd): boolean {
  return OPAQUE.some((name) => getAttribute(directory, name)?.toString() === "y");
}

/** Opens the entries of that name that are merged, the uppermost first: several directories, or one other file. */
function entriesOf(directories: readonly Fd[], name: string, opened: DisposableStack): Fd[] {
  const found: Fd[] = [];
  for (const directory of directories) {
    const entry = openUnless(["ENOENT"], directory, name, "path-no-follow");
    if (entry === null) continue;
    opened.use(entry);
    if (isWhiteout(entry)) break;
    const isDirectory = statFd(entry).kind === "directory";
    if (isDirectory || found.length === 0) found.push(entry);
    if (!isDirectory || isOpaque(entry)) break;
  }
  return found;
}

/** Opens a path of a stack, whose layers are `roots`, the uppermost first (O_PATH); null where it has none. */
export function openInLayers(roots: readonly Fd[], path: string): Fd | null {
  using opened = new DisposableStack();
  const names = path.split("/").reverse();
  /** The directories above the present one. */
  const above: (readonly Fd[])[] = [];
  let directories = roots;
  for (let links = 0, name = names.pop(); name !== undefined; name = names.pop()) {
    if (name === "" || name === ".") continue;
    if (name === "..") {
      directories = above.pop() ?? roots;
      continue;
    }
    const found = entriesOf(directories, name, opened);
    const [first] = found;
    if (first === undefined) return null;
    const { kind } = statFd(first);
    if (kind === "symlink") {
      if (++links > MOST_LINKS) return null;
      const target = readLinkAt(first, "");
      if (target.startsWith("/")) [directories, above.length] = [roots, 0];
      names.push(...target.split("/").reverse());
    } else if (kind === "directory") {
      above.push(directories);
      directories = found;
    } else return names.length === 0 ? first.duplicate() : null;
  }
  return directories[0]?.duplicate() ?? null;
}
