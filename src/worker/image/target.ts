// Where images of a class are kept, under which name a transfer makes one, and whether that name is free.
import { join, resolve } from "node:path";
import { ErrnoError } from "../../base/error.ts";
import { withoutImageSuffix } from "../../base/vocabulary/compression.ts";
import { IMAGE_SEARCH_PATHS, type ImageClass, imagePool } from "../../base/vocabulary/image-class.ts";
import { stateDirectory } from "../../kernel/process/account.ts";
import { type Image, isImageName } from "../../registry/image/image.ts";
import { ImageSearch } from "../../registry/image/search.ts";
import { movedRoot } from "../program/lock-directory.ts";
import type { WorkerOptions } from "../program/options.ts";

/** The directory that new images go to. */
export function imageRootOf({ imageRoot, class: imageClass, scope }: WorkerOptions): string {
  return imageRoot ?? ownRootOf(imageClass, scope);
}

function ownRootOf(imageClass: ImageClass, scope: WorkerOptions["scope"]): string {
  return scope === "user" ? imagePool(imageClass, stateDirectory()) : imagePool(imageClass);
}

/** What `--direct` writes to: an absolute path stands for itself, any other is below the directory of images. */
export function directPath(name: string, options: WorkerOptions): string {
  return resolve(imageRootOf(options), name);
}

/** Whether images go where the machines of this host are looked for. */
export function isOwnRoot({ imageRoot, class: imageClass, scope }: WorkerOptions): boolean {
  return imageRoot === null || imageRoot === join(movedRoot() ?? "/", ownRootOf(imageClass, scope));
}

/** Where an image of a name may be already. A root given by option stands for itself. */
function searchPathOf(options: WorkerOptions): readonly string[] {
  const pool = imageRootOf(options);
  if (options.imageRoot !== null || options.scope === "user") return [pool];
  return IMAGE_SEARCH_PATHS[options.class];
}

/** The image of that name, or null. */
export function findImage(name: string, options: WorkerOptions): Image | null {
  return new ImageSearch(searchPathOf(options), { hasHost: false }).find(name);
}

/** Throws unless an image may get this name. */
export function requireName(name: string): string {
  if (!isImageName(name)) throw new ErrnoError("EINVAL", `Local image name '${name}' is not valid.`);
  return name;
}

/** Throws when there is an image of this name already and it is not to be replaced. */
export function requireFree(name: string, options: WorkerOptions): void {
  if (options.force || findImage(name, options) === null) return;
  throw new ErrnoError("EEXIST", `Image '${name}' already exists.`);
}

/** The image name that a file name suggests. */
export function nameOfFile(file: string, kind: "tar" | "raw"): string {
  return withoutImageSuffix(file.replace(/\/+$/, "").split("/").at(-1) ?? "", kind);
}
