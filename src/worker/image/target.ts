// The target of a transfer: the directory of a class of images, the name of the image, and whether that name is free.
import { join, resolve } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { withoutImageSuffix } from "../../base/vocabulary/compression.ts";
import { IMAGE_SEARCH_PATHS, type ImageClass, imagePool } from "../../base/vocabulary/image-class.ts";
import { stateDirectory } from "../../kernel/process/account.ts";
import { type Image, isImageName } from "../../registry/image/image.ts";
import { ImageSearch, isTreeName } from "../../registry/image/search.ts";
import { movedRoot } from "../program/lock-directory.ts";
import type { WorkerOptions } from "../program/options.ts";

/** Returns the directory for new images. */
export function imageRootOf({ imageRoot, class: imageClass, scope }: WorkerOptions): string {
  return imageRoot ?? ownRootOf(imageClass, scope);
}

function ownRootOf(imageClass: ImageClass, scope: WorkerOptions["scope"]): string {
  return scope === "user" ? imagePool(imageClass, stateDirectory()) : imagePool(imageClass);
}

/** Returns the path that `--direct` writes to; a relative one is below the directory of images. */
export function directPath(name: string, options: WorkerOptions): string {
  return resolve(imageRootOf(options), name);
}

/** Whether the directory is one that is searched for images of the class, however its path is written. */
export function isOwnRoot({ imageRoot, class: imageClass, scope }: WorkerOptions): boolean {
  if (imageRoot === null) return true;
  const searched = scope === "user" ? [] : IMAGE_SEARCH_PATHS[imageClass];
  const own = [ownRootOf(imageClass, scope), ...searched].map((path) => join(movedRoot() ?? "/", path));
  return own.includes(resolve(imageRoot));
}

/** Returns the directories in which the name may be taken; a root given by option is the only one. */
function searchPathOf(options: WorkerOptions): readonly string[] {
  const pool = imageRootOf(options);
  if (options.imageRoot !== null || options.scope === "user") return [pool];
  return IMAGE_SEARCH_PATHS[options.class];
}

/** Returns the image of that name, or null. */
export function findImage(name: string, options: WorkerOptions): Image | null {
  return new ImageSearch(searchPathOf(options), { hasHost: false }).find(name);
}

/** Throws for an invalid image name. */
export function requireName(name: string): string {
  if (!isImageName(name)) throw new ErrnoError("EINVAL", `Local image name '${name}' is not valid.`);
  return name;
}

/** Throws for a name under which a tree is not found as an image. */
export function requireTreeName(name: string): string {
  if (isTreeName(requireName(name))) return name;
  throw new ErrnoError("EINVAL", `Local image name '${name}' is not valid for a tree: its ending has another meaning.`);
}

/** Throws when an image of this name exists and must not be replaced. */
export function requireFree(name: string, options: WorkerOptions): void {
  if (options.force || findImage(name, options) === null) return;
  throw new ErrnoError("EEXIST", `Image '${name}' already exists.`);
}

/** Returns the image name of a file name. */
export function nameOfFile(file: string, kind: "tar" | "raw"): string {
  return withoutImageSuffix(file.replace(/\/+$/, "").split("/").at(-1) ?? "", kind);
}
