// Removing many images: the hidden ones, which downloads leave behind, or all (machinectl(1), "clean").
import { errnoText } from "../../base/errno.ts";
import { ErrnoError, errnoNameOf } from "../../base/error.ts";
import { OCI_REPOSITORIES_FILE } from "../../base/vocabulary/temporary.ts";
import { pathOf } from "../../kernel/file/attributes.ts";
import { listDirectory, unlink } from "../../kernel/file/directory-entry.ts";
import { type Fd, openAt, openPath } from "../../kernel/file/fd.ts";
import { isErrno, unlessErrno } from "../../kernel/syscall/sys.ts";
import { removeImage } from "./change.ts";
import type { Image } from "./image.ts";
import type { ImageLayout } from "./layout.ts";
import type { ImageSearch } from "./search.ts";
import { sweepAll } from "./sweep.ts";
import { ignoreSyscallErrors } from "./temporary.ts";

type CleanMode = "hidden" | "all";

interface Removed {
  readonly name: string;
  /** The bytes that the removal freed; all ones where the file system does not count them. */
  readonly bytes: bigint;
}

/**
 * Removes images, except those that are in use or belong to the operating system. Continues after a failure, and throws
 * the first one at the end.
 */
export function cleanPool(layout: ImageLayout, search: ImageSearch, mode: CleanMode): Removed[] {
  sweepAll(layout);
  const removed: Removed[] = [];
  let failure: Error | null = null;
  const images = search.list();
  const layers = mode === "hidden" ? layersOf(images) : new Set<string>();
  for (const image of images) {
    if (!image.mayChange || (mode === "hidden" && !image.isHidden) || layers.has(image.path)) continue;
    try {
      // Another process may have made a stack of this layer since `layers` was computed.
      removeImage(layout, image, () => mode === "hidden" && image.isTree && layersOf(search.list()).has(image.path));
      removed.push({ name: image.name, bytes: image.facts.space.usageExclusive });
    } catch (error) {
      if (!isErrno(error, "EBUSY")) failure ??= explain(image, error);
    }
  }
  if (failure !== null) throw failure;
  if (!search.list().some(({ isHidden, isHost }) => isHidden && !isHost)) forgetRepositories(layout);
  return removed;
}

/** Removes the note of the layers' repositories: no layer is left. */
function forgetRepositories(layout: ImageLayout): void {
  ignoreSyscallErrors(() => {
    using pool = openPath(layout.pool, "directory");
    unlink(OCI_REPOSITORIES_FILE, pool);
  });
}

/** Returns the paths of the layers that the stacks among these images use, without symbolic links. */
function layersOf(images: readonly Image[]): Set<string> {
  return new Set(images.filter(({ type }) => type === "mstack").flatMap(({ path }) => layersAt(path)));
}

function layersAt(stack: string): string[] {
  try {
    using directory = openPath(stack, "directory");
    const links = listDirectory(directory).filter(({ name }) => name.startsWith("layer@"));
    return links.flatMap(({ name }) => layerAt(directory, name) ?? []);
  } catch (error) {
    // Of a stack that cannot be read, nobody knows which layers it needs: none may be removed.
    if (isErrno(error, "ENOENT", "ENOTDIR")) return [];
    throw error;
  }
}

/** Returns null for a link to nothing. The link may be absolute, and lead through others to the pool. */
function layerAt(directory: Fd, name: string): string | null {
  const look = () => {
    using layer = openAt(directory, name, "path");
    return pathOf(layer);
  };
  return unlessErrno(look, null, "ENOENT", "ENOTDIR", "ELOOP");
}

function explain(image: Image, error: unknown): Error {
  const errno = errnoNameOf(error);
  if (errno === null) return error as Error;
  return new ErrnoError(errno, `Failed to remove image '${image.name}': ${errnoText(errno)}`, { cause: error });
}
